# SPDX-License-Identifier: Apache-2.0
"""The page on classifiers: its examples run one after the other, and its configurations exist."""

import re
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "classification.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_examples_run():
    torch.manual_seed(0)
    names = {"__name__": "classification"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))
    assert len(blocks) == 2
    for block in blocks:
        lines_before = TEXT.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_before + block[1], PAGE, "exec"), names)


def test_configurations_exist():
    named = set(re.findall(r"configs/\S+\.yaml", TEXT))
    assert len(named) == 2 and all((REPOSITORY / path).is_file() for path in named)
