# SPDX-License-Identifier: Apache-2.0
"""A network that is quick to build and to run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dealias.complexity import silence_profiler
from dealias.models import SegmentationModel, create_model


@pytest.fixture(autouse=True)
def _quiet() -> None:
    silence_profiler()


@pytest.fixture
def tiny() -> Callable[..., SegmentationModel]:
    """``tiny(arch="fpn", encoder="test_resnet", **options)``: a small network with random weights."""

    def build(arch: str = "fpn", encoder: str = "test_resnet", **options: Any) -> SegmentationModel:
        return create_model(arch, encoder, classes=5, **{"decoder_channels": 16, **options})

    return build


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(1, 3, 64, 64)
