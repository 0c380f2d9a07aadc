# SPDX-License-Identifier: Apache-2.0
"""The notebooks run from top to bottom, made small by the constants that they offer, and are stored without outputs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SMALL = {
    "aliasing_of_a_timm_network": ("NETWORK, IMAGES", "'test_resnet', 1"),
    "fuse_in_your_network": ("STEPS, SIZE", "2, 24"),
    "train_on_scenes": ("STEPS, BATCH, SIZE", "2, 2, (64, 64)"),
}
"""What a notebook is given instead of its own constants."""

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def made_small(path):
    """The notebook as one program; a constant that is not there is an error."""
    names, values = SMALL[path.stem]
    program = "\n".join(code_of(path))
    program, count = re.subn(rf"^{re.escape(names)} = .*$", f"{names} = {values}", program, flags=re.MULTILINE)
    assert count == 1, f"{path.name} has no line {names} = ..."
    return program


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == set(SMALL)


@notebooks
def test_is_valid_and_has_no_outputs(path):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(cell.outputs == [] and cell.execution_count is None for cell in code)


@notebooks
def test_runs(path, tmp_path):
    program = tmp_path / f"{path.stem}.py"
    program.write_text(made_small(path), encoding="utf-8")
    settings = {**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, program], cwd=tmp_path, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3
