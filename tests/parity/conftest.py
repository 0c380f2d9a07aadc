# SPDX-License-Identifier: Apache-2.0
"""Finds the recorded numbers of the published code and gives each record a test of its own.

A test marked ``@pytest.mark.records("02_", "03_", exclude=("02_slow",))`` that asks for ``record_path`` (the file) or
``record`` (its content) runs once per ``*.pt`` file whose stem starts with one of the prefixes and with none of the
excluded ones. The folder is the environment variable DEALIAS_PARITY, by default ``../shared/parity``.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("DEALIAS_PARITY", REPOSITORY / "../shared/parity"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "records(*prefixes, exclude=()): one test per recorded file with these prefixes")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "record_path" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("records")
    if marker is None:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} needs the marker records(*prefixes)")
    paths = find_records(marker.args, tuple(marker.kwargs.get("exclude", ())))
    if paths:
        metafunc.parametrize("record_path", paths, ids=[path.stem for path in paths])
        return
    found = "no record of the prefixes " + ", ".join(marker.args) if FOLDER.is_dir() else "no such folder"
    skip = pytest.mark.skip(reason=f"DEALIAS_PARITY={FOLDER}: {found}")
    metafunc.parametrize("record_path", [pytest.param(None, marks=skip, id="no-record")])


def find_records(prefixes: tuple[str, ...], exclude: tuple[str, ...] = ()) -> list[Path]:
    candidates = sorted(FOLDER.glob("*.pt"))
    return [path for path in candidates if path.stem.startswith(prefixes) and not path.stem.startswith(exclude)]


@pytest.fixture
def load_record() -> Callable[[Path], dict[str, Any]]:
    """The function that reads a record: plain Python values and tensors, nothing executed."""
    return lambda path: torch.load(path, weights_only=True)


@pytest.fixture
def record(record_path: Path, load_record: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    return load_record(record_path)


FLOAT32_FACTOR = 6
"""How many times its own float32-float64 difference the published code's float32 numbers may differ from ours."""


@pytest.fixture
def within() -> Callable[[torch.Tensor, torch.Tensor, float | None], None]:
    """``within(actual, recorded, written)``: equal within a few times the written float32-float64 difference.

    ``written=None`` is for float64 records: equal to 1e-9 of the largest recorded magnitude. A float32 record is not
    held closer than a few roundings of its largest magnitude, and a float32 result may be off by as much again.
    """

    def check(actual: torch.Tensor, recorded: torch.Tensor, written: float | None) -> None:
        assert actual.shape == recorded.shape
        largest = recorded.abs().max().item()
        allowed = 1e-9 * largest
        if written is not None:
            allowed = FLOAT32_FACTOR * max(written, torch.finfo(torch.float32).eps * largest)
        error = (actual.detach().double() - recorded.double()).abs().max().item()
        assert error <= allowed, f"differs by {error:.3g}, allowed {allowed:.3g} at magnitude {largest:.3g}"

    return check
