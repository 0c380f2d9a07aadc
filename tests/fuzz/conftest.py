# SPDX-License-Identifier: Apache-2.0
"""The modules of this folder, which the sweep shares with the tests, and readers with their good files."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """``target(name)``: that reader with its good files, the same for all tests."""
    from readers import open_target
    from target import Target

    made = {}

    def make(name: str) -> Target:
        if name not in made:
            made[name] = open_target(name, tmp_path_factory.mktemp(name))
        return made[name]

    return make
