# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from dealias.backbones import create_encoder
from dealias.backbones.norms import freeze_batch_norms, freeze_stages, set_norm_epsilon


def with_statistics():
    encoder = create_encoder("test_resnet")
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return encoder


def test_frozen_norms_are_those_of_evaluation_and_stay_so():
    encoder, images = with_statistics().eval(), torch.rand(2, 3, 64, 64)
    before = {key: x.clone() for key, x in encoder.state_dict().items() if not key.endswith("num_batches_tracked")}
    with torch.no_grad():
        expected = encoder(images)
    freeze_batch_norms(encoder)
    with torch.no_grad():
        found = encoder.train()(images)
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)
    after = encoder.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any("bn" in name for name, _ in encoder.named_parameters())


def test_epsilon():
    encoder = with_statistics()
    set_norm_epsilon(encoder, 0.25)
    norm = next(m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)).eval()
    x = torch.randn(1, norm.num_features, 3, 3)
    scale, shift, mean, var = (t[:, None, None] for t in (norm.weight, norm.bias, norm.running_mean, norm.running_var))
    expected = (x - mean) / (var + 0.25).sqrt() * scale + shift
    torch.testing.assert_close(norm(x), expected)
    freeze_batch_norms(encoder)
    frozen = next(m for m in encoder.modules() if isinstance(m, FrozenBatchNorm2d))
    torch.testing.assert_close(frozen(x), expected)
    set_norm_epsilon(encoder, 0.0)
    torch.testing.assert_close(frozen(x), (x - mean) / var.sqrt() * scale + shift)


@pytest.mark.parametrize(
    ("count", "learning"),
    [
        (0, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        (1, {"layer2", "layer3", "layer4"}),
        (2, {"layer3", "layer4"}),
        (3, {"layer4"}),
        (4, set()),
    ],
)
def test_stages_that_keep_their_weights(count, learning):
    encoder = create_encoder("test_resnet")
    freeze_stages(encoder, encoder.stages(), count)
    assert {name.split(".")[1] for name, p in encoder.named_parameters() if p.requires_grad} == learning


def test_refusals():
    encoder = create_encoder("test_resnet")
    with pytest.raises(ValueError, match="frozen_stages must be 0 to 4, got 5"):
        freeze_stages(encoder, encoder.stages(), 5)
    with pytest.raises(ValueError, match="has no batch norms to freeze"):
        freeze_batch_norms(nn.Conv2d(1, 1, 1))
