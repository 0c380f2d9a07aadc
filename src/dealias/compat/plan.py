# SPDX-License-Identifier: Apache-2.0
"""What a layout makes of a published checkpoint: the network, and where every tensor belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from .renaming import Matching, Rules, load_renamed


@dataclass(frozen=True)
class Plan:
    """A network that is built, but not loaded.

    Attributes:
        network: with random weights.
        weights: the tensors that it needs, by their published names, in the order of rows that it needs. A tensor that
            is split here has the name ``KEY[PART]`` for each part.
        rules: from own names to published ones.
        left_out: the other tensors of the checkpoint by their published names, and why they are not needed.
        idle: beginnings of own keys that the checkpoint lacks and nothing reads.
        part: where the network is no whole one, but the backbone ``network["encoder"]`` or a single module: its kind,
            see :data:`dealias.models.PARTS`, and the arguments that make it.
        untold: what the checkpoint does not tell and was not given, so that the network may be another one.
    """

    network: nn.Module
    weights: Mapping[str, Tensor]
    rules: Rules
    left_out: Mapping[str, str] = field(default_factory=dict)
    idle: Sequence[str] = ()
    part: tuple[str, dict[str, Any]] | None = None
    untold: str = ""

    @property
    def module(self) -> nn.Module:
        """The network, or the backbone or single module."""
        return self.network["encoder"] if isinstance(self.network, nn.ModuleDict) else self.network

    def load(self, partial: bool = False) -> Matching:
        """Load the weights, and set the network to evaluation.

        Args:
            partial: load what fits, and leave the rest.

        Raises:
            ValueError: missing, unexpected or misshapen weights, unless ``partial``; lists them by published names.
        """
        matching = load_renamed(self.network, self.weights, self.rules, self.idle, partial)
        self.network.eval()
        return matching


def encoder_part(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Kind and arguments of a backbone, from those of ``create_model``."""
    names = {"name": "encoder_name", "in_channels": "in_channels", "options": "encoder_options"}
    return "encoder", {name: arguments[given] for name, given in names.items()}
