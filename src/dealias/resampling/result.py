# SPDX-License-Identifier: Apache-2.0
"""``modulation.json``, from which reports are made.

The file is an object with

- ``format`` ("dealias modulation") and ``version`` (1);
- ``network``: ``name``, ``source`` (as on the command line) and ``weights`` (random, pretrained or trained);
- ``data``: ``source`` (as on the command line), ``images`` that were analysed, and ``of`` how many;
- ``settings``: ``size`` that images were resized to (null: as they are), and ``band`` in pixels of the images by which
  boundaries of labels are widened (null: there are no labels);
- ``environment``: versions, device, command, start;
- ``stages``, in the order in which images pass them: the fields of :class:`dealias.analysis.StageModulation`; a
  quantity over images has ``mean``, ``std`` and ``images``;
- ``pictures``: of each sample ``name``, ``image`` and ``overview`` (files, relative to the folder; the latter with all
  that follows in one picture) and ``stages``: ``name`` of the modulation, and pictures of its ``attention``,
  ``points``, and ``maps``, by the name of the map.

Frequencies are in cycles per sample, power and what is lost are shares, and null stands for what is not a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dealias._files import write_json
from dealias.inspection import Images, Subject, header

from .measure import ResamplingAnalysis

MODULATION_FILE = "modulation.json"
"""Name of the file in the folder of an analysis."""


def write_modulation(
    folder: Path,
    analysis: ResamplingAnalysis,
    *,
    subject: Subject,
    images: Images,
    pictures: Sequence[Mapping[str, Any]],
    description: Mapping[str, Any],
) -> None:
    """Write ``modulation.json``, the last file of an analysis: where it is, the others are whole.

    Args:
        folder: where it goes.
        analysis: what was found.
        subject: the network.
        images: what it was shown.
        pictures: what :func:`dealias.resampling.save_stages` has written there.
        description: ``source`` of the network, ``settings`` (``size``) and ``environment``.
    """
    band = None if analysis.rule is None else analysis.rule.band
    common = header("dealias modulation", subject, images, description)
    stages = [asdict(stage) for stage in analysis.stages]
    settings = {"size": description["settings"]["size"], "band": band}
    write_json(folder / MODULATION_FILE, {**common, "settings": settings, "stages": stages, "pictures": pictures})
