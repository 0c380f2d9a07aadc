# SPDX-License-Identifier: Apache-2.0
"""The table of fusions in a pyramid of 256 channels, against published and hand-made counts."""

import csv
import io
import json

import pytest
from torch import nn

from dealias.complexity import measure_fusions
from dealias.complexity.fusions import pyramid
from dealias.complexity.published import NOTES, PARAMETERS, agrees
from dealias.complexity.table import fusion_sheet, to_csv, to_markdown
from dealias.fusion import create_fusion, list_fusions

ENVIRONMENT = {"device": "cpu", "threads": 2, "versions": {"torch": "2"}}
EXACT = {
    "freqfusion": 314_070,
    "carafe": 222_444,
    "dysample+": 49_248,
    "dysample": 24_672,
    "dysample-s+": 6_192,
    "deconv": 1_770_240,
    "pixel_shuffle": 7_080_960,
    "sapa": 101_760,
    "indexnet": 6_300_672,
    "fade": 142_542,
    "a2u": 32_370,
}


@pytest.fixture(scope="module")
def table():
    return measure_fusions(list_fusions(), (64, 64), runs=0)


def test_parameters_equal_the_exact_counts(table):
    found = {cost.name: cost.parameters for cost in table.costs}
    assert {name: found[name] for name in EXACT} == EXACT
    assert list(found) == list_fusions()


def test_parameters_print_as_published_but_where_the_difference_is_explained(table):
    differing = {cost.name for cost in table.costs if cost.agrees is False}
    assert differing == set(NOTES) == {"a2u"}
    assert {cost.name for cost in table.costs if cost.agrees is not None} == set(PARAMETERS)


def test_the_published_count_of_a2u_is_of_convolution_weights():
    convolutions = [m for m in create_fusion("a2u", 256, 256).modules() if isinstance(m, nn.Conv2d)]
    weights = 3 * sum(convolution.weight.numel() for convolution in convolutions)
    assert f"{weights:,}" in NOTES["a2u"] and agrees(weights, PARAMETERS["a2u"])


def by_hand(coarse):
    """Multiply-adds of one fusion for a coarse map of so many pixels, the fine one having four times as many."""
    fine = 4 * coarse
    return {
        "nearest": 0,
        "bilinear": 4 * 256 * fine,
        "deconv": 256 * 256 * 9 * coarse,
        "pixel_shuffle": 256 * 1024 * 9 * coarse,
        "carafe": 256 * 64 * coarse + 64 * 9 * 100 * coarse + 25 * 256 * fine,
        "dysample": 256 * 32 * coarse + 4 * 256 * fine,
        "dysample+": 2 * 256 * 32 * coarse + 4 * 256 * fine,
        "sapa": 256 * 64 * (coarse + fine) + 25 * 64 * fine + 25 * 256 * fine,
    }


def test_operations_equal_counts_by_hand(table):
    found = {cost.name: (cost.macs, cost.finest.macs) for cost in table.costs}
    coarse = [8 * 8, 4 * 4, 2 * 2]
    for name, finest in by_hand(coarse[0]).items():
        assert found[name] == (sum(by_hand(pixels)[name] for pixels in coarse), finest), name


def test_memory_of_the_finest_fusion(table):
    fine_map = 4 * 256 * 16 * 16
    found = {cost.name: cost.finest for cost in table.costs}
    assert all(cost.peak_bytes >= fine_map for cost in found.values())
    assert found["bilinear"].kept_bytes == 0
    # the compressed map, and the kernels after the softmax
    assert found["carafe"].kept_bytes == 4 * (64 * 8 * 8 + 25 * 16 * 16)


def test_sizes_may_be_odd():
    assert pyramid((100, 65)) == [(25, 17), (13, 9), (7, 5), (4, 3)]
    (cost,) = measure_fusions(["freqfusion"], (100, 65), runs=0).costs
    assert cost.parameters == EXACT["freqfusion"]


def test_options_reach_their_fusion():
    options = {"freqfusion": {"compressed_channels": 32}}
    names = ["bilinear", "freqfusion"]
    _, cost = measure_fusions(names, (64, 64), runs=1, options=options).costs
    expected = sum(p.numel() for p in create_fusion("freqfusion", 256, 256, compressed_channels=32).parameters())
    assert cost.parameters == 3 * expected and cost.finest.seconds > 0


@pytest.mark.parametrize(
    ("names", "arguments", "message"),
    [
        (["carave"], {}, "unknown fusion 'carave'"),
        (["carafe"], {"options": {"sapa": {}}}, "options are given for sapa, but measured are carafe"),
        (["carafe"], {"options": {"carafe": {"groups": 3}}}, "groups"),
        (["carafe"], {"size": (0, 64)}, "got 0 x 64"),
        (["carafe"], {"runs": -1}, "got -1"),
    ],
)
def test_errors_name_what_is_wrong(names, arguments, message):
    with pytest.raises(ValueError, match=message):
        measure_fusions(names, **{"size": (32, 32), **arguments})


def test_every_format_has_the_same_numbers(table):
    sheet = fusion_sheet(table, ENVIRONMENT)
    markdown = to_markdown(sheet)
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    plain = json.loads(json.dumps(table.to_dict()))
    for cost, row, entry in zip(table.costs, rows, plain["fusions"], strict=True):
        assert f"| {cost.name} | {cost.parameters:,} |" in markdown
        assert (row["name"], int(row["parameters"]), int(row["macs"])) == (cost.name, cost.parameters, cost.macs)
        assert int(row["finest_peak_bytes"]) == entry["finest"]["peak_bytes"] == cost.finest.peak_bytes
        assert (row["published_parameters"] or None) == entry["published_parameters"]
    assert plain["levels"] == [[16, 16], [8, 8], [4, 4], [2, 2]]
    assert "≠ 29.2 K" in markdown and "29,184" in markdown and "= 0.3 M" in markdown


def test_a_difference_is_explained_only_where_it_is_shown():
    table = measure_fusions(["bilinear"], (32, 32), runs=0)
    assert not any("29,184" in note for note in fusion_sheet(table, ENVIRONMENT).notes)
