# SPDX-License-Identifier: Apache-2.0
"""The interface of every head: features of the classes first, then a score of each class for every pixel by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Head(nn.Module, ABC):
    """A pyramid of features to logits.

    Attributes:
        classifier: what :meth:`embed` returns, [B, width, H, W], to logits [B, classes, H, W], pixel by pixel.
    """

    classifier: nn.Module

    @abstractmethod
    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """Compute what the classes are told by.

        Args:
            features: maps [B, channels[i], H_i, W_i], fine to coarse.

        Returns:
            [B, width, H, W], on the grid of the finest level that the head uses.
        """

    def forward(self, features: Sequence[Tensor], with_embedding: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Score the classes.

        Args:
            features: as in :meth:`embed`.
            with_embedding: tell what the scores come from, too.

        Returns:
            Logits [B, classes, H, W], on the grid of :meth:`embed`; or these and what that returned.
        """
        embedding = self.embed(features)
        logits = self.classifier(embedding)
        return (logits, embedding) if with_embedding else logits
