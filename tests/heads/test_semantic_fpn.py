# SPDX-License-Identifier: Apache-2.0
import torch
import torch.nn.functional as F

from dealias.heads.semantic_fpn import SemanticFPNHead


def test_levels_rise_step_by_step_and_are_summed():
    head = SemanticFPNHead(6, 5, levels=3, width=8).eval()
    sizes = [(13, 17), (7, 9), (4, 5)]
    features = [torch.randn(2, 6, *size) for size in sizes]
    assert [len(branch.blocks) for branch in head.branches] == [1, 1, 2]

    def up(x, size):
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    expected = head.branches[0].blocks[0](features[0]) + up(head.branches[1].blocks[0](features[1]), sizes[0])
    coarse = up(head.branches[2].blocks[0](features[2]), sizes[1])
    expected = expected + up(head.branches[2].blocks[1](coarse), sizes[0])
    torch.testing.assert_close(head.embed([*features, torch.randn(2, 6, 2, 3)]), expected)
    logits = head(features)
    assert logits.shape == (2, 5, 13, 17)
    weight = head.classifier[1].weight[:, :, 0, 0]
    torch.testing.assert_close(logits, torch.einsum("oc,bchw->bohw", weight, expected))


def test_published_size():
    """Seven 3x3 convolutions without bias, GroupNorm of 32 groups, 54 classes."""
    head = SemanticFPNHead(256, 54)
    convolutions = 4 * 9 * 256 * 128 + 3 * 9 * 128 * 128
    assert sum(p.numel() for p in head.parameters()) == convolutions + 7 * 2 * 128 + 54 * 129
    assert {m.num_groups for m in head.modules() if isinstance(m, torch.nn.GroupNorm)} == {32}
