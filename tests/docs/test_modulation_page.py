# SPDX-License-Identifier: Apache-2.0
"""The page on modulation: its examples run."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "modulation.md"


def test_examples_run():
    torch.manual_seed(0)
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, PAGE, "exec"), {"__name__": "modulation"})
