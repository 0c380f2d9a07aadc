# SPDX-License-Identifier: Apache-2.0
"""The measurements of a whole network: what adds up, what stays as it was, and what is written."""

import json

import pytest
import torch
from torch import nn

from dealias.complexity import Cost, measure_network
from dealias.complexity.table import network_sheet, to_markdown, to_rich

ENVIRONMENT = {"device": "cpu", "threads": 1, "versions": {"torch": "2"}}


def costs(complexity):
    return {part.name: cost for part, cost in complexity.parts}


def test_encoder_decoder_and_the_last_resize_are_the_network(tiny, images):
    complexity = measure_network(tiny(fusion="freqfusion"), images, runs=1)
    found = costs(complexity)
    resize = 4 * 5 * 64 * 64
    assert found["network"].macs == found["encoder"].macs + found["decoder"].macs + resize
    assert found["network"].parameters == found["encoder"].parameters + found["decoder"].parameters
    levels = [found[f"neck.path.fusions.{i}"] for i in range(3)]
    assert found["fusions"].macs == sum(level.macs for level in levels)
    assert [levels[0].macs / level.macs for level in levels] == [1, 4, 16]
    assert found["network"].flops == sum(complexity.operators.values())


def test_inner_parts_hold_and_keep_no_more_than_outer_ones(tiny, images):
    found = costs(measure_network(tiny(fusion="carafe"), images, runs=0))
    assert all(cost.seconds is None for cost in found.values())
    for outer, inner in (("network", "encoder"), ("encoder", "to stride 16"), ("decoder", "fusions")):
        assert found[outer].peak_bytes >= found[inner].peak_bytes > 0
        assert found[outer].kept_bytes >= found[inner].kept_bytes > 0


def test_memory_grows_with_the_batch_and_parameters_do_not(tiny):
    network = tiny()
    one, two = (costs(measure_network(network, torch.randn(n, 3, 64, 64), runs=0))["network"] for n in (1, 2))
    assert (two.parameters, two.macs, two.kept_bytes) == (one.parameters, 2 * one.macs, 2 * one.kept_bytes)
    assert two.peak_bytes > one.peak_bytes


def test_auxiliary_head_costs_nothing_but_parameters_in_the_network(tiny, images):
    without, with_head = (costs(measure_network(tiny("upernet", auxiliary=a), images, runs=1)) for a in (False, True))
    head = with_head["auxiliary"]
    assert head.macs == 4 * 4 * 256 * (192 * 9 + 5)
    assert with_head["network"].macs == without["network"].macs
    assert with_head["network"].kept_bytes == without["network"].kept_bytes
    assert with_head["network"].parameters == without["network"].parameters + head.parameters
    assert head.peak_bytes > 0 and head.kept_bytes > 0 and head.seconds > 0


def test_the_network_stays_as_it_was(tiny, images):
    network = tiny("upernet").train()
    network.encoder.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_network(network, images, runs=1)
    assert network.training and network.decoder.training and not network.encoder.body.layer1.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_progress_ends_with_all_steps_done():
    steps = []
    measure_network(nn.ReLU(), torch.zeros(1, 1, 2, 2), 2, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_negative_number_of_runs_is_refused():
    with pytest.raises(ValueError, match="got -1"):
        measure_network(nn.ReLU(), torch.zeros(1, 1, 2, 2), -1)


def test_plain_values_have_everything(tiny, images):
    complexity = measure_network(tiny(), images, runs=1)
    found = json.loads(json.dumps(complexity.to_dict()))
    assert set(found) == {"input", "runs", "parts", "flops_by_operator"}
    assert (found["input"], found["runs"]) == ([1, 3, 64, 64], 1)
    keys = {"name", "level", "modules", "parameters", "macs", "flops", "peak_bytes", "kept_bytes", "seconds"}
    assert all(set(part) == keys and part["flops"] == 2 * part["macs"] for part in found["parts"])
    assert found["parts"][1]["modules"] == ["encoder"]


def test_the_table_has_a_row_for_each_part_with_its_units(tiny, images):
    complexity = measure_network(tiny("upernet", auxiliary=True), images, runs=0)
    sheet = network_sheet("upernet", complexity, ENVIRONMENT)
    assert sheet.header == ("part", "parameters", "MACs G", "FLOPs G", "peak MiB", "kept MiB", "ms")
    assert [row[0].strip() for row in sheet.rows] == [part.name for part, _ in complexity.parts]
    assert sheet.rows[0][1] == f"{complexity.parts[0][1].parameters:,}"
    notes = " ".join(sheet.notes)
    assert "counts two FLOPs for each" in notes and "no time was measured" in notes and "auxiliary" in notes
    assert to_rich(sheet).row_count == len(sheet.rows)
    assert to_markdown(sheet).count("\n| ") == len(sheet.rows) + 2


def test_multiply_adds_are_half_of_the_operations():
    assert Cost(0, 10, 0, 0, None).macs == 5
