# SPDX-License-Identifier: Apache-2.0
"""Activation checkpointing changes memory and time, and no number."""

import copy

import pytest
import torch
from torch import nn

from dealias.models import checkpoint_activations_, create_model

SMALL = {"decoder_channels": 16}
DETECTOR = {"decoder_channels": 8, "box_channels": 16, "min_size": 64, "max_size": 96}


def step(network, *args):
    """Loss and gradients of a training step, and the state after it."""
    torch.manual_seed(1)  # of dropout
    network.train()
    made = network.forward_train(*args) if hasattr(network, "forward_train") else network(*args)
    made = list(made.values()) if isinstance(made, dict) else [x.square().mean() for x in made[:2] if x is not None]
    loss = sum(made)
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, network.state_dict()


def assert_same(network, *args):
    checkpointed = copy.deepcopy(network)
    assert len(checkpoint_activations_(checkpointed)) >= 4
    assert checkpointed.state_dict().keys() == network.state_dict().keys()
    for found, expected in zip(step(copy.deepcopy(checkpointed), *args), step(network, *args), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"arch": "upernet", "encoder_name": "resnet10t", "fusion": "freqfusion", "mixer": "freqmix", "auxiliary": True},
        {"arch": "fpn", "encoder_name": "resnet10t", "prefilter": "daf", "modulation": "ars"},
        {"arch": "segnext", "encoder_name": "mscan_t", "drop_path_rate": 0.3},
    ],
    ids=lambda options: options["arch"] + "-" + options["encoder_name"],
)
def test_a_training_step_is_the_same(options):
    torch.manual_seed(0)
    assert_same(create_model(classes=5, **SMALL, **options), torch.randn(2, 3, 64, 64))


def test_a_detector_trains_the_same():
    torch.manual_seed(0)
    network = create_model("mask_rcnn", "test_resnet", classes=3, fusion="freqfusion", **DETECTOR)
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, 10:40, 8:30] = 1
    target = {"boxes": torch.tensor([[8.0, 10, 30, 40]]), "labels": torch.tensor([2]), "masks": masks}
    assert_same(network, [torch.rand(3, 64, 64)], [target])


def test_less_is_kept_and_nothing_changes_without_gradients():
    network = create_model("fpn", "resnet50", fusion="freqfusion", activation_checkpointing=True, **SMALL)
    plain = create_model("fpn", "resnet50", fusion="freqfusion", **SMALL)
    plain.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 64, 64)
    assert kept_bytes(network, images) < 0.5 * kept_bytes(plain, images)
    with torch.no_grad():
        assert torch.equal(network.eval()(images), plain.eval()(images))


def kept_bytes(network, images):
    """Bytes of the tensors that a forward pass keeps for the backward pass, parameters aside."""
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        made = network.train().forward_train(images)  # noqa: F841  keeps the graph alive while it is counted
    return sum(kept.values())


def test_twice_is_once():
    network = nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)))
    assert checkpoint_activations_(network) == checkpoint_activations_(network) == ["0"]
    network(torch.randn(1, 1, 9, 9)).sum().backward()
    assert network[0][0].weight.grad is not None
