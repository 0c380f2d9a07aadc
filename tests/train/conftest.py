# SPDX-License-Identifier: Apache-2.0
import warnings

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from dealias.data import evaluation_transform
from dealias.models import SegmentationModel
from dealias.train import AtomicCheckpointIO, SegmentationData, SegmentationTask


class Blocks:
    """Noisy images whose left and right halves are of different classes; a strip at the top is ignored."""

    classes = ("a", "b", "c")
    palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    ignore_index = 255

    def __init__(self, length, size=(32, 32), ignored_rows=2):
        self.length, self.size, self.ignored_rows = length, size, ignored_rows

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        height, width = self.size
        generator = torch.Generator().manual_seed(index)
        mask = torch.full((height, width), index % 3, dtype=torch.uint8)
        mask[:, width // 2 :] = (index + 1) % 3
        colours = torch.tensor(self.palette)[mask.long()].permute(2, 0, 1)
        image = (colours + 60 * torch.randn(3, height, width, generator=generator)).clamp(0, 255).to(torch.uint8)
        mask[: self.ignored_rows] = 255
        return {"image": tv_tensors.Image(image), "mask": tv_tensors.Mask(mask), "name": f"block{index}"}


class Encoder(nn.Sequential):
    in_channels = 3

    def __init__(self):
        super().__init__(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())


@pytest.fixture
def blocks():
    return Blocks


@pytest.fixture
def make_network():
    """A network of two layers, with dropout and batch norm, from a seed."""

    def make(seed=0, dropout=0.3, auxiliary=False):
        torch.manual_seed(seed)
        decoder = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(6, 3, 1))
        return SegmentationModel(Encoder(), decoder, 3, nn.Conv2d(6, 3, 1) if auxiliary else None)

    return make


@pytest.fixture
def make_task(make_network):
    def make(**options):
        return SegmentationTask(make_network(), **options)

    return make


@pytest.fixture
def make_data():
    """Training with an augmentation that draws, three images to validate and test on."""

    def make(length=11, batch_size=2, workers=0, seed=0, val=3):
        types = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
        augmentation = v2.Compose([v2.RandomHorizontalFlip(), v2.ToDtype(types, scale=True), v2.GaussianNoise()])
        return SegmentationData(
            train=Blocks(length),
            val=Blocks(val) if val else None,
            test=Blocks(3, size=(40, 50)),
            predict=Blocks(2, size=(40, 50)),
            train_transform=augmentation,
            eval_transform=evaluation_transform(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
            batch_size=batch_size,
            workers=workers,
            seed=seed,
        )

    return make


@pytest.fixture
def make_trainer():
    """A quiet trainer on the CPU, as the command line sets it up."""

    def make(**options):
        defaults = {
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in options.get("callbacks", [])),
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "plugins": [AtomicCheckpointIO()],
        }
        return Trainer(**{**defaults, **options})

    return make


@pytest.fixture(autouse=True)
def quiet():
    """One thread, and neither Lightning's advice about workers nor deprecations within it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        yield
    torch.set_num_threads(threads)
