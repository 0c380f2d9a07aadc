# SPDX-License-Identifier: Apache-2.0
"""What every architecture does, with a fusion that learns and one that does not."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.fusion import Fusion
from dealias.models import SegmentationModel, create_model, list_models, rebuild
from dealias.models.architectures import ONE_LEVEL

LEARNED = {"direct": "guided_attention"}  # one step of ratio 8, which FreqFusion cannot take
NETWORKS = [(arch, "bilinear") for arch in list_models("segmentation")]
NETWORKS += [(arch, LEARNED.get(arch, "freqfusion")) for arch in list_models("segmentation") if arch not in ONE_LEVEL]
GRIDS = dict.fromkeys(ONE_LEVEL, (2, 2)) | {"segnext": (5, 6)}  # of the decoders' logits, for images of 33 x 47
CLASSES = 5

# a backbone without average pooling in its shortcuts: timm rounds their size up, which export cannot keep open
SLIM = {"channels": (8, 16, 24, 32), "stem_width": 4, "stem_type": "deep", "avg_down": False}


def build(arch, fusion, **options):
    torch.manual_seed(0)
    with_auxiliary = arch in ("upernet", *ONE_LEVEL)
    options = {"auxiliary": True, "auxiliary_channels": 8} | options if with_auxiliary else options
    return create_model(arch, "test_resnet", classes=CLASSES, fusion=fusion, decoder_channels=16, **options)


@pytest.fixture(params=NETWORKS, ids="-".join, scope="module")
def network(request):
    return build(*request.param).eval()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (65, 97)])
def test_logits_have_the_size_of_a_single_image(network, size):
    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size))
    assert logits.shape == (1, CLASSES, *size)
    assert logits.isfinite().all()


def test_logits_are_the_decoders_resized(network):
    images = torch.randn(2, 3, 33, 47)
    with torch.no_grad():
        scores = network.decoder(network.encoder(images))
        assert scores.shape[-2:] == GRIDS.get(network.config["arch"], (9, 12))
        expected = F.interpolate(scores, size=(33, 47), mode="bilinear", align_corners=False)
        assert torch.equal(network(images), expected)


def test_forward_train_adds_the_auxiliary_logits(network):
    images = torch.randn(2, 3, 33, 47)
    with torch.no_grad():
        logits, auxiliary, attentions, warps = network.forward_train(images)
        assert attentions == warps == ()
        assert torch.equal(logits, network(images))
        if network.auxiliary is None:
            assert auxiliary is None
        else:
            scores = network.auxiliary(network.encoder(images))
            assert scores.shape[-2:] == (3, 3)  # stride 16
            assert torch.equal(auxiliary, F.interpolate(scores, size=(33, 47), mode="bilinear", align_corners=False))


def test_images_do_not_depend_on_their_batch(network):
    images = torch.randn(3, 3, 40, 56)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


def test_channels_last(network):
    images = torch.randn(2, 3, 40, 56)
    other = rebuild(network.config).eval().to(memory_format=torch.channels_last)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            other(images.contiguous(memory_format=torch.channels_last)), network(images), rtol=1e-4, atol=1e-5
        )


def test_weights_and_configuration_rebuild_the_network(network, tmp_path):
    torch.save({"config": json.dumps(network.config), "weights": network.state_dict()}, tmp_path / "network.pt")
    stored = torch.load(tmp_path / "network.pt", weights_only=True)
    other = rebuild(json.loads(stored["config"])).eval()
    other.load_state_dict(stored["weights"])
    images = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        assert torch.equal(other(images), network(images))


@pytest.mark.parametrize(("arch", "fusion"), NETWORKS)
def test_training_step_in_bfloat16_reaches_every_parameter(arch, fusion):
    model = build(arch, fusion)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    target = torch.randint(CLASSES, (2, 64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model.forward_train(torch.randn(2, 3, 64, 64))
        loss = torch.stack([F.cross_entropy(x, target) for x in outputs[:2] if x is not None]).sum()
    loss.backward()
    assert loss.isfinite()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    optimiser.step()
    assert not torch.equal(model.encoder.body.conv1[0].weight, before["encoder.body.conv1.0.weight"])


def test_dropout_is_active_in_training_only():
    model = build("fpn", "bilinear", dropout=0.5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # its statistics would change the result as well
    images = torch.randn(2, 3, 64, 64)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


def test_learns():
    torch.manual_seed(0)
    model = create_model("fpn", "test_resnet", classes=2, fusion="nearest", decoder_channels=16)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    target = torch.zeros(4, 64, 64, dtype=torch.long)
    for i, left in enumerate((0, 16, 32, 40)):
        target[i, 8 * i :, left : left + 24] = 1
    images = target[:, None] * 2.0 - 1 + 0.1 * torch.randn(4, 3, 64, 64)
    for _ in range(25):
        loss = F.cross_entropy(model(images), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (model(images).argmax(1) == target).float().mean() > 0.95


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((3, 64, 64), r"shape \(3, 64, 64\)"),
        ((1, 4, 64, 64), "got 4 channels"),
        ((1, 3, 31, 64), "got size 31 x 64"),
        ((1, 3, 64, 8), "got size 64 x 8"),
    ],
)
def test_wrong_images(network, shape, found):
    for call in (network.forward, network.forward_train):
        with pytest.raises(ValueError, match=rf"images must be \[B, 3, H, W\] with H and W at least 32, .*{found}"):
            call(torch.zeros(shape))


def test_parts_split_the_parameters(network):
    parts = network.parameter_parts()
    assert set(parts) == {"encoder", "decoder", "auxiliary", "fusion", "prefilter", "mixer", "modulation"}
    counts = {name: {id(p) for p in parameters} for name, parameters in parts.items()}
    assert sum(map(len, counts.values())) == len(set().union(*counts.values())) == len(list(network.parameters()))
    assert counts["encoder"] == {id(p) for p in network.encoder.parameters()}
    fusions = [m for m in network.decoder.modules() if isinstance(m, Fusion)]
    assert bool(fusions) == (network.config["arch"] not in ONE_LEVEL)
    assert counts["fusion"] == {id(p) for m in fusions for p in m.parameters()}
    assert bool(parts["auxiliary"]) == (network.auxiliary is not None)


def test_fusions_in_the_encoder_belong_to_the_fusions():
    class Gain(Fusion):
        def __init__(self):
            super().__init__(1, 1)
            self.weight = nn.Parameter(torch.ones(1))

        def fuse(self, hr, lr):
            return hr, lr

    encoder, decoder = nn.Sequential(nn.Conv2d(3, 3, 1), Gain()), nn.Conv2d(3, 2, 1)
    parts = SegmentationModel(encoder, decoder, classes=2).parameter_parts()
    assert {name: len(p) for name, p in parts.items() if p} == {"encoder": 2, "decoder": 2, "fusion": 1}


def test_compiles_as_one_graph(network):
    torch.compiler.reset()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        compiled = torch.compile(network, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("arch", "fusion"), NETWORKS)
def test_exports_for_any_image_size(arch, fusion):
    options = {"decoder_channels": 8, "encoder_options": SLIM}
    model = create_model(arch, "resnet10t", classes=CLASSES, fusion=fusion, **options).eval()
    batch, height, width = (torch.export.Dim(name, min=low, max=4096) for name, low in (("b", 1), ("h", 33), ("w", 33)))
    program = torch.export.export(
        model, (torch.randn(2, 3, 65, 97),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    for shape in ((1, 3, 33, 47), (2, 3, 64, 128), (3, 3, 91, 50)):
        images = torch.randn(shape)
        torch.testing.assert_close(program.module()(images), model(images), rtol=1e-4, atol=1e-5)
