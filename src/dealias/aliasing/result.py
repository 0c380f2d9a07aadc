# SPDX-License-Identifier: Apache-2.0
"""What an analysis found, and ``analysis.json``, from which reports are made.

The file is an object with

- ``format`` ("dealias analysis") and ``version`` (1);
- ``network``: ``name``, ``source`` (as on the command line) and ``weights`` (random, pretrained or trained);
- ``data``: ``source`` (as on the command line), ``images`` that were analysed, and ``of`` how many;
- ``settings``: ``size`` that images were resized to (null: as they are), ``band`` and ``layers`` as asked for;
- ``environment``: versions, device, command, start;
- ``layers``, in the order in which images pass them: the fields of :class:`dealias.analysis.LayerAliasing` and
  ``image_scores``, a score for each image (empty if a layer saw other numbers of items than images);
- ``unused``: downsampling layers that no image passed; ``unmeasured``: modules that make maps smaller by no layer;
- ``images``: of each ``name`` and ``errors``, fractions by FErr, MErr and DErr, or null if they are not known;
- ``correlations`` of scores with errors over the images: ``layer`` (null: the mean over those that can alias),
  ``metric``, ``pearson``, ``spearman``, ``p_value``, ``count``;
- ``pictures``: of each sample ``name``, ``image`` (a file, relative to the folder) and ``maps``: ``layer``, ``file``
  and ``top``. A map is a grey picture at the size of the layer's input, v in 0 to 255 for a local power above the limit
  of ``top * (v / 255)**2``, where 1 is the mean power of a channel; stronger power is cut.

Frequencies are in cycles per sample, scores and errors are fractions, and null stands for what is not a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from dealias._files import write_json
from dealias.analysis import LayerAliasing, correlate
from dealias.inspection import Images, Subject, header

ANALYSIS_FILE = "analysis.json"
"""Name of the file in the folder of an analysis."""

ERRORS = ("FErr", "MErr", "DErr")
"""Errors near edges: false responses, merging mistakes, displacements."""

_FEWEST_IMAGES = 3


@dataclass(frozen=True)
class ImageErrors:
    """An image, and its errors as fractions by metric if they are known."""

    name: str
    errors: Mapping[str, float] | None


@dataclass(frozen=True)
class Analysis:
    """What was measured.

    Attributes:
        layers: aliasing at each layer, in the order in which images pass them.
        image_scores: by layer, the score of each image.
        unused: downsampling layers that no image passed.
        unmeasured: modules that make maps smaller by something that is no layer.
        images: in the order in which they were taken.
    """

    layers: Sequence[LayerAliasing]
    image_scores: Mapping[str, Sequence[float]]
    unused: Sequence[str]
    unmeasured: Sequence[str]
    images: Sequence[ImageErrors]

    @property
    def losing(self) -> list[LayerAliasing]:
        """The layers that cannot keep all that arrives, the one with the highest score first."""
        return sorted((layer for layer in self.layers if layer.loses), key=lambda layer: -layer.score)

    def correlations(self) -> list[dict[str, Any]]:
        """Correlation of scores with errors over the images, for the mean over these layers and for each of them."""
        scores: dict[str | None, Sequence[float]] = {
            layer.name: self.image_scores[layer.name]
            for layer in self.losing
            if len(self.image_scores[layer.name]) == len(self.images)
        }
        if scores:
            scores = {None: [fmean(of_image) for of_image in zip(*scores.values(), strict=True)], **scores}
        return [
            {"layer": layer, "metric": metric, **asdict(correlate(of_layer, errors))}
            for metric in ERRORS
            if sum(map(math.isfinite, errors := self._errors(metric))) >= _FEWEST_IMAGES
            for layer, of_layer in scores.items()
        ]

    def _errors(self, metric: str) -> list[float]:
        return [math.nan if image.errors is None else image.errors[metric] for image in self.images]


def write_analysis(
    folder: Path,
    analysis: Analysis,
    *,
    subject: Subject,
    images: Images,
    pictures: Sequence[Mapping[str, Any]],
    description: Mapping[str, Any],
) -> None:
    """Write ``analysis.json``, the last file of an analysis: where it is, the others are whole.

    Args:
        folder: where it goes.
        analysis: what was found.
        subject: the network.
        images: what it was shown.
        pictures: what :func:`dealias.aliasing.save_maps` has written there.
        description: ``source`` of the network, ``settings`` and ``environment``.
    """
    layers = [{**asdict(layer), "image_scores": _of_images(analysis, layer)} for layer in analysis.layers]
    write_json(
        folder / ANALYSIS_FILE,
        {
            **header("dealias analysis", subject, images, description),
            "layers": layers,
            "unused": analysis.unused,
            "unmeasured": analysis.unmeasured,
            "images": [asdict(image) for image in analysis.images],
            "correlations": analysis.correlations(),
            "pictures": pictures,
        },
    )


def _of_images(analysis: Analysis, layer: LayerAliasing) -> Sequence[float]:
    scores = analysis.image_scores[layer.name]
    return scores if len(scores) == len(analysis.images) else []
