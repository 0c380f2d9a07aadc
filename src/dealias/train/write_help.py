# SPDX-License-Identifier: Apache-2.0
"""Write the help texts that ``dealias fit --help`` and its kin print: ``python -m dealias.train.write_help``.

Building the parser loads Lightning, which takes seconds; the texts are therefore shipped with the package.
"""

import io
import os
from contextlib import redirect_stdout
from itertools import product
from pathlib import Path

from dealias._files import write_text
from dealias.cli import HELP_FOLDER
from dealias.train.lightning_cli import DESCRIPTIONS, TrainingCLI
from dealias.train.tasks import TASKS

_COLUMNS = "100"


def help_text(command: str, task: str) -> str:
    """What the real parser of a task prints for ``--help``, 100 columns wide."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            TrainingCLI([command, "--task", task, "--help"])
    except SystemExit:
        return text.getvalue()
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    raise RuntimeError(f"the parser of {command} printed no help")


def write_help(folder: Path) -> None:
    """Write ``<task>/<command>.txt`` of every task and command."""
    for task, command in product(TASKS, DESCRIPTIONS):
        write_text(folder / task / f"{command}.txt", help_text(command, task))


if __name__ == "__main__":
    write_help(Path(str(HELP_FOLDER)))
