# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from dealias.models import create_model
from dealias.train.optim import OptimizerSettings, build_optimizer, parameter_groups


@pytest.fixture(scope="module")
def network():
    return create_model(
        "upernet",
        "test_resnet",
        classes=3,
        fusion="freqfusion",
        fusion_options={"compressed_channels": 8},
        decoder_channels=8,
        auxiliary=True,
        auxiliary_channels=8,
    )


FACTORS = {"encoder": 0.1, "decoder": 2.0, "auxiliary": 3.0, "fusion": 0.25}


def test_every_parameter_is_in_one_group_with_the_rate_of_its_part(network):
    settings = OptimizerSettings(lr=0.01, weight_decay=0.05, factors=FACTORS)
    groups = parameter_groups(network.parameter_parts(), settings)
    found = {}
    for group in groups:
        for parameter in group["params"]:
            assert id(parameter) not in found
            found[id(parameter)] = (group["lr"], group["weight_decay"])
    fusion = {id(p) for name, p in network.named_parameters() if ".fusion" in name}
    assert fusion
    assert len(found) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        part = "fusion" if id(parameter) in fusion else name.partition(".")[0]
        is_vector = parameter.dim() == 1
        assert found[id(parameter)] == (pytest.approx(0.01 * FACTORS[part]), 0.0 if is_vector else 0.05), name


def test_vectors_can_decay_too(network):
    settings = OptimizerSettings(weight_decay=0.05, decay_vectors=True)
    assert {group["weight_decay"] for group in parameter_groups(network.parameter_parts(), settings)} == {0.05}


def test_frozen_parameters_are_left_out():
    weights = [torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(2)]
    weights[0].requires_grad_(False)
    (group,) = parameter_groups({"encoder": weights}, OptimizerSettings())
    assert group["params"] == weights[1:]


def test_optimizers_take_their_numbers():
    parts = {"encoder": [torch.nn.Parameter(torch.zeros(2, 2))]}
    sgd = build_optimizer(parts, OptimizerSettings("sgd", lr=0.3, momentum=0.7))
    assert isinstance(sgd, torch.optim.SGD) and sgd.param_groups[0]["momentum"] == 0.7
    adamw = build_optimizer(parts, OptimizerSettings("adamw", betas=(0.8, 0.9)))
    assert isinstance(adamw, torch.optim.AdamW) and adamw.param_groups[0]["betas"] == (0.8, 0.9)


def test_wrong_names_and_shared_parameters_are_errors():
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    parts = {"encoder": [weight], "decoder": []}
    with pytest.raises(ValueError, match=r"no part head .* the parts are encoder, decoder"):
        parameter_groups(parts, OptimizerSettings(factors={"head": 2.0}))
    with pytest.raises(ValueError, match="'rmsprop'"):
        build_optimizer(parts, OptimizerSettings("rmsprop"))
    with pytest.raises(ValueError, match="two parts"):
        parameter_groups({"encoder": [weight], "decoder": [weight]}, OptimizerSettings())
