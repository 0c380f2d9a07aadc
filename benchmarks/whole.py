# SPDX-License-Identifier: Apache-2.0
"""Cases of whole things: networks, a training step, the scores of an image, the loading of files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

import per_region
import spectra
import unfolded
from dealias.data import SegmentationFolders, evaluation_transform
from dealias.metrics import joint_histogram, segmentation_scores
from dealias.models import create_model
from dealias.train import SegmentationData
from problem import OURS, Problem, on_inputs, random

WORKERS, BATCH = 2, 8
"""Of both loaders."""


def filtered_network(device: torch.device, size: int) -> Problem:
    """The published UPerNet with filter and FreqMix on one image; beside it, the network without them."""
    image = random(device, 1, 3, size, size)
    ours, plain = (_upernet50(device, **parts) for parts in ({"prefilter": "daf", "mixer": "freqmix"}, {}))

    def peer() -> tuple[Tensor, ...]:
        with spectra.instead_of_ours():
            return (ours(image),)

    alone = Problem((image, *plain.parameters()), {OURS: on_inputs(plain, image)})
    forms = {OURS: on_inputs(ours, image), "complex FFT": peer}
    return Problem((image, *ours.parameters()), forms, backward=False, plain=alone)


def _upernet50(device: torch.device, **parts: str) -> nn.Module:
    """ResNet-50-C and 128 channels in the decoder; no branch starts at zero, so that all of it counts."""
    torch.manual_seed(0)
    options = {"decoder_channels": 128, "encoder_options": {"zero_init_last": False}}
    return create_model("upernet", "resnet50c", released=True, **options, **parts).eval().to(device)


def training(device: torch.device, batch: int, size: int, channels_last: bool = False) -> Problem:
    """A step of UPerNet with FreqFusion, without the optimiser; beside it, the one that interpolates bilinearly."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = random(device, batch, 3, size, size).contiguous(memory_format=layout)
    labels = torch.randint(19, (batch, size, size), generator=torch.Generator().manual_seed(0)).to(device)

    def step(fusion: str) -> Problem:
        torch.manual_seed(0)
        network = create_model("upernet", "resnet18", fusion=fusion, decoder_channels=128, dropout=0.0)
        network = network.to(device, memory_format=layout)

        def ours() -> tuple[Tensor, ...]:
            return (F.cross_entropy(network.forward_train(images).logits, labels),)

        def peer() -> tuple[Tensor, ...]:
            with unfolded.instead_of_ours():
                return ours()

        return Problem(tuple(network.parameters()), {OURS: ours, "unfold": peer}, gradients_compared=False)

    plain = step("bilinear")
    measured = step("freqfusion")
    return Problem(measured.inputs, measured.forms, gradients_compared=False, plain=plain)


def hard_pixels(device: torch.device, size: tuple[int, int], classes: int) -> Problem:
    """The six scores of one image with regions of some hundred pixels, a tenth of them wrong, some ignored."""
    generator = torch.Generator().manual_seed(0)
    coarse = (1, 1, size[0] // 32, size[1] // 32)

    def regions(count: int) -> Tensor:
        values = torch.rand(coarse, generator=generator)
        return (F.interpolate(values, size=size, mode="bicubic")[0, 0].clamp(0, 0.999) * count).byte()

    target, wrong = regions(classes), regions(10) == 0
    preds = torch.where(wrong, regions(classes), target).to(device)
    target = target.masked_fill(regions(20) == 19, 255).to(device)

    def ours() -> tuple[Tensor, ...]:
        scores = segmentation_scores(joint_histogram(preds[None], target[None], classes, edges="released"))
        return (torch.stack([scores[name] for name in ("mIoU", "BIoU", "BAcc", "FErr", "MErr", "DErr")]).float(),)

    def peer() -> tuple[Tensor, ...]:
        return (per_region.scores(preds, target, classes).float(),)

    return Problem((preds, target), {OURS: ours, "region by region": peer}, backward=False)


class _Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Photographs and labels as torchvision's references read them: pillow, then its transforms."""

    def __init__(self, folder: Path, transform: v2.Transform) -> None:
        self.names = sorted(path.stem for path in (folder / "images").iterdir())
        self.folder, self.transform = folder, transform

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.open(self.folder / "images" / f"{self.names[index]}.jpg").convert("RGB")
        mask = Image.open(self.folder / "labels" / f"{self.names[index]}.png")
        return self.transform(image, tv_tensors.Mask(np.array(mask)))


def loading(device: torch.device, count: int, size: tuple[int, int]) -> Problem:
    """An epoch of JPEG and PNG files, normalised, in batches, by our loader and by torchvision's classes."""
    folder = tempfile.TemporaryDirectory()
    _write_photographs(Path(folder.name), count, size)
    data = SegmentationFolders(f"{folder.name}/images", f"{folder.name}/labels", [str(i) for i in range(19)])
    ours_data = SegmentationData(data, train_transform=evaluation_transform(), batch_size=BATCH, workers=WORKERS)
    to_tensors = [v2.ToImage(), v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True)]
    normalise = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    peer_data = _Pairs(Path(folder.name), v2.Compose([*to_tensors, normalise]))

    def ours() -> tuple[Tensor, ...]:
        assert folder  # the files are there as long as this function is
        return (_sums(*((batch["image"], batch["mask"]) for batch in ours_data.train_dataloader())),)

    def peer() -> tuple[Tensor, ...]:
        loader = DataLoader(peer_data, BATCH, shuffle=True, num_workers=WORKERS)
        return (_sums(*loader),)

    return Problem(
        (torch.empty(count, 4, *size, dtype=torch.uint8),), {OURS: ours, "torchvision": peer}, backward=False
    )


def _sums(*batches: tuple[Tensor, Tensor]) -> Tensor:
    """What does not depend on the order of the samples."""
    return torch.stack([torch.stack([image.double().sum(), mask.double().sum()]) for image, mask in batches]).sum(0)


def _write_photographs(folder: Path, count: int, size: tuple[int, int]) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        image.save(folder / "images" / f"{number:03}.jpg", quality=90)
        image.getchannel(0).point(lambda value: value * 19 // 256).save(folder / "labels" / f"{number:03}.png")
