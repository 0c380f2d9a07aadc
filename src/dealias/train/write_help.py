# SPDX-License-Identifier: Apache-2.0
"""Write the help texts that ``dealias fit --help`` and its kin print: ``python -m dealias.train.write_help``.

Building the parser loads Lightning, which takes seconds; the texts are therefore shipped with the package.
"""

import io
import os
from contextlib import redirect_stdout
from pathlib import Path

from dealias._files import write_text
from dealias.cli import HELP_FOLDER
from dealias.train.lightning_cli import DESCRIPTIONS, TrainingCLI

_COLUMNS = "100"


def help_text(command: str) -> str:
    """What the real parser prints for ``--help``, 100 columns wide."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            TrainingCLI([command, "--help"])
    except SystemExit:
        return text.getvalue()
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    raise RuntimeError(f"the parser of {command} printed no help")


def write_help(folder: Path) -> None:
    """Write ``<command>.txt`` of every command."""
    for command in DESCRIPTIONS:
        write_text(folder / f"{command}.txt", help_text(command))


if __name__ == "__main__":
    write_help(Path(str(HELP_FOLDER)))
