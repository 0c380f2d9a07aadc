# SPDX-License-Identifier: Apache-2.0
"""The page about the papers: what it says was counted here is what is counted."""

import re
from pathlib import Path

import pytest

from dealias.fusion import create_fusion

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| (R101, )?`([\w+-]+)` \|.*\| ([\d.,]+|\([^|]*\)|[\d.]+ [MK]) \| ([\d,]+) \|$", TEXT, re.MULTILINE
)
UNITS = {"M": 1e6, "K": 1e3}


def test_every_row_is_read():
    assert len(ROWS) == 14 == len(re.findall(r"^\| (?:R101, )?`", TEXT, re.MULTILINE))


@pytest.mark.parametrize(("name", "published", "counted"), [row[1:] for row in ROWS])
def test_parameters_of_a_pyramid(name, published, counted):
    options = {"compressed_channels": 64} if name == "freqfusion" else {}
    parameters = create_fusion(name, 256, 256, **options).parameters()
    counted_now = 3 * sum(parameter.numel() for parameter in parameters)
    assert counted == f"{counted_now:,}"
    if not published.startswith("(") and name != "a2u":  # whose biases the paper does not count
        number, unit = published.split()
        assert counted_now == pytest.approx(float(number) * UNITS[unit], abs=0.05 * UNITS[unit])
