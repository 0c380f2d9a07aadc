# SPDX-License-Identifier: Apache-2.0
"""Batch norms over all processes, also those of timm that have an activation within."""

from lightning.pytorch.plugins import TorchSyncBatchNorm
from timm.layers import convert_sync_batchnorm
from torch import nn


class SyncNorm(TorchSyncBatchNorm):
    """Lightning plugin of ``--trainer.sync_batchnorm``; torch's own conversion would lose the activations."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Convert all batch norms, in place."""
        converted: nn.Module = convert_sync_batchnorm(model)
        return converted

    def revert(self, model: nn.Module) -> nn.Module:
        """Keep them: on one process they are ordinary ones."""
        return model
