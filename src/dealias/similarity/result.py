# SPDX-License-Identifier: Apache-2.0
"""``similarity.json``, from which reports are made.

The file is an object with

- ``format`` ("dealias similarity") and ``version`` (1);
- ``network``: ``name``, ``source`` (as on the command line) and ``weights`` (random, pretrained or trained);
- ``data``: ``source`` (as on the command line), ``images`` that were analysed, ``of`` how many, names of ``classes``,
  and ``ignore_index``;
- ``settings``: ``size`` that images were resized to (null: as they are), ``grid`` that features and labels were
  compared at (null: that of the labels), ``band`` and ``reach`` in pixels of it, and ``layers`` as asked for;
- ``environment``: versions, device, command, start;
- ``maps``, in the order in which images pass them: ``layer``, ``map`` (coarse, fine or sum of a fusion, output of
  another layer), ``channels``, ``size`` (of the last image), ``before`` (null where nothing is before) and ``after``;
- ``unused``: layers that no image passed;
- ``pictures``: of each sample ``name``, ``image`` and ``labels`` (files, relative to the folder; labels are class ids)
  and ``maps``: ``layer``, ``map``, ``before`` (or null) and ``after``, pictures of the directions of features, and
  ``vectors``, an int8 array [1 or 2 (before, after), directions, h, w] of features of length 127, with the share of
  their power that is ``kept``.

Before and after are each an object with ``images``, ``intra``, ``inter``, ``margin``, ``accuracy``, ``displacement``,
``profile`` and ``classes``: a list with the same of each class that counts, its ``label`` and ``shift``, as in
:class:`dealias.analysis.ClassSimilarity`. Null stands for what is not a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dealias._files import write_json
from dealias.analysis import MapSimilarity
from dealias.inspection import Images, Subject, header

from .measure import SimilarityAnalysis

SIMILARITY_FILE = "similarity.json"
"""Name of the file in the folder of an analysis."""


def write_similarity(
    folder: Path,
    analysis: SimilarityAnalysis,
    *,
    subject: Subject,
    images: Images,
    pictures: Sequence[Mapping[str, Any]],
    description: Mapping[str, Any],
) -> None:
    """Write ``similarity.json``, the last file of an analysis: where it is, the others are whole.

    Args:
        folder: where it goes.
        analysis: what was found.
        subject: the network.
        images: what it was shown.
        pictures: what :func:`dealias.similarity.save_features` has written there.
        description: ``source`` of the network, ``settings`` (``size`` and ``layers``) and ``environment``.
    """
    rule = analysis.rule
    classes = [] if images.labelled is None else list(images.labelled.classes)
    common = header("dealias similarity", subject, images, description)
    write_json(
        folder / SIMILARITY_FILE,
        {
            **common,
            "data": {**common["data"], "classes": classes, "ignore_index": rule.ignore_index},
            "settings": {**common["settings"], "grid": rule.size, "band": rule.band, "reach": rule.reach},
            "maps": [_entry(found) for found in analysis.maps],
            "unused": analysis.unused,
            "pictures": pictures,
        },
    )


def _entry(found: MapSimilarity) -> dict[str, Any]:
    return {
        "layer": found.layer,
        "map": found.map,
        "channels": found.channels,
        "size": found.size,
        "before": None if found.before is None else found.before.to_dict(),
        "after": found.after.to_dict(),
    }
