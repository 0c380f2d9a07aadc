# SPDX-License-Identifier: Apache-2.0
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from dealias.models import create_model
from dealias.train.sync_norm import SyncNorm


def test_all_batch_norms_are_converted_and_keep_weights_and_activations():
    network = create_model("fpn", encoder_name="test_efficientnet", classes=3, decoder_channels=8)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    activated = [norm for norm in norms if isinstance(norm, BatchNormAct2d)]
    images = torch.randn(1, 3, 64, 64)
    expected = network.eval()(images)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    converted = SyncNorm().apply(network)
    found = [module for module in converted.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(found) == len(norms) and not any(isinstance(m, nn.BatchNorm2d) for m in converted.modules())
    assert activated and sum(bool(len(list(norm.children()))) for norm in found) == len(activated)
    assert all(torch.equal(converted.state_dict()[name], tensor) for name, tensor in state.items())
    torch.testing.assert_close(converted.eval()(images), expected)
