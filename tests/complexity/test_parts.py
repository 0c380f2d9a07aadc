# SPDX-License-Identifier: Apache-2.0
"""Which parts a network has, and that watching them leaves no trace."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from dealias.complexity import Part, count_flops, find_parts, median_seconds, watching


def names(network):
    return [part.name for part in find_parts(network)]


def test_parts_of_a_segmentation_network(tiny):
    network = tiny("upernet", fusion="carafe", prefilter="blur", mixer=None, auxiliary=True)
    assert names(network) == [
        *("network", "encoder", "to stride 4", "to stride 8", "to stride 16", "to stride 32", "prefilters"),
        *("decoder", "fusions", "path.fusions.0", "path.fusions.1", "path.fusions.2", "auxiliary"),
    ]
    levels = [part.level for part in find_parts(network)]
    assert levels == [0, 1, 2, 2, 2, 2, 2, 1, 2, 3, 3, 3, 1]


@pytest.mark.parametrize("encoder", ["test_resnet", "test_efficientnet", "test_convnext", "mscan_t"])
def test_stages_are_all_of_the_encoder(tiny, encoder):
    network = tiny(encoder=encoder).eval()
    parts = {part.name: part for part in find_parts(network)}
    stages = [part for name, part in parts.items() if name.startswith("to stride")]
    assert [part.name for part in stages] == ["to stride 4", "to stride 8", "to stride 16", "to stride 32"]
    assert sum(part.parameters for part in stages) == parts["encoder"].parameters
    counts = count_flops(lambda: network(torch.zeros(1, 3, 64, 64)), list(parts.values())).parts
    assert sum(counts[stage] for stage in stages) == counts[parts["encoder"]] > 0


def test_mixers_and_fusions_have_the_parameters_of_their_modules(tiny):
    network = tiny(mixer="freqmix", fusion="dysample+")
    found = {part.name: part.parameters for part in find_parts(network)}
    expected = {name: sum(p.numel() for p in own) for name, own in network.parameter_parts().items()}
    assert (found["mixers"], found["fusions"]) == (expected["mixer"], expected["fusion"])
    assert found["network"] == sum(expected.values())


def test_modulations_and_what_undoes_them(tiny):
    network = tiny(modulation="ars", modulation_options={"msau": {}})
    assert names(network)[6:9] == ["modulations", "demodulation", "decoder"]
    parts = {part.name: part for part in find_parts(network)}
    expected = {name: sum(p.numel() for p in own) for name, own in network.parameter_parts().items()}
    assert parts["modulations"].parameters + parts["demodulation"].parameters == expected["modulation"]
    events, region = recorder()
    with watching(list(parts.values()), region), torch.no_grad():
        network.eval()(torch.zeros(1, 3, 64, 64))
    assert [event for event in events if event[1:] in ("encoder", "decoder", "demodulation")] == [
        *("+encoder", "-encoder", "+demodulation", "-demodulation"),
        *("+decoder", "-decoder", "+demodulation", "-demodulation"),
    ]


def test_dilated_stages_belong_to_their_stride(tiny):
    network = tiny("fcn", "resnet18", output_stride=16)
    assert names(network) == ["network", "encoder", "to stride 4", "to stride 8", "to stride 16", "decoder"]
    parts = {part.name: part for part in find_parts(network)}
    assert sum(parts[f"to stride {stride}"].parameters for stride in (4, 8, 16)) == parts["encoder"].parameters


def test_any_other_network_has_its_children():
    assert names(nn.Sequential(nn.Linear(2, 2), nn.ReLU())) == ["network", "0", "1"]


def test_a_parameter_that_is_used_twice_counts_once():
    layer = nn.Linear(3, 3, bias=False)
    assert find_parts(nn.Sequential(layer, layer))[0].parameters == 9


def recorder():
    events = []

    @contextmanager
    def region(part):
        events.append(f"+{part.name}")
        yield
        events.append(f"-{part.name}")

    return events, region


def test_regions_are_nested_as_the_parts_are():
    network = nn.Sequential(nn.ReLU(), nn.Tanh())
    parts = [
        Part("all", {"": network}),
        Part("both", {"0": network[0], "1": network[1]}, 1),
        Part("one", {"1": network[1]}, 2),
    ]
    events, region = recorder()
    with watching(parts, region):
        network(torch.zeros(1))
    inner = ["+one", "+both", "-both", "-one"]  # of one module, in any order that is nested
    assert events == ["+all", "+both", "-both", *inner, "-all"]
    network(torch.zeros(1))
    assert len(events) == 8


def test_hooks_go_when_a_call_fails():
    network = nn.Sequential(nn.Linear(2, 2))
    events, region = recorder()
    with pytest.raises(RuntimeError), watching(find_parts(network), region):
        network(torch.zeros(1, 3))
    assert events == ["+network", "+0", "-0", "-network"]
    network(torch.zeros(1, 2))
    assert len(events) == 4


def test_prefilters_run_inside_of_their_stage(tiny):
    network = tiny(prefilter="daf")
    parts = find_parts(network)
    events, region = recorder()
    with watching(parts, region), torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
    for stride in (8, 16, 32):
        start = events.index(f"+to stride {stride}")
        assert events[start + 1 : start + 3] == ["+prefilters", "-prefilters"]


def test_time_is_measured_as_often_as_asked():
    calls = []

    class Counting(nn.Module):
        def forward(self):
            calls.append(1)

    network, idle = Counting(), Counting()
    parts = [Part("network", {"": network}), Part("idle", {"idle": idle}, 1)]
    found = median_seconds(network, parts, torch.device("cpu"), runs=4)
    assert len(calls) == 4 and found[parts[0]] > 0 == found[parts[1]]
