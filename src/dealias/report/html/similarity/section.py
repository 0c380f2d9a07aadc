# SPDX-License-Identifier: Apache-2.0
"""All that the template shows of an analysis of similarity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dealias.report.html.analyses import Head, facts_of, recipe_of
from dealias.report.html.documents import explained
from dealias.report.html.heat import heat_stops
from dealias.report.html.recipe import Recipe

from . import charts
from .charts import DotChart, ProfileChart, accuracy_chart, profile_chart
from .document import SIMILARITY_FILE, Document, load_document
from .features import Features, load_features
from .rows import QUANTITIES, ClassRow, MapRow, Quantity, class_rows, map_rows
from .words import comparison, uncounted, verdict, warnings


@dataclass(frozen=True)
class LayerPart:
    """A layer by class, from the map that tells most of it."""

    layer: str
    summary: str
    accuracy: DotChart
    profile: ProfileChart
    classes: tuple[ClassRow, ...]


@dataclass(frozen=True)
class SimilaritySection:
    """An analysis, laid out."""

    chapter: Head
    sentences: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]
    within: str
    band: int
    reach: int
    maps: tuple[MapRow, ...]
    has_before: bool
    layers: tuple[LayerPart, ...]
    uncounted: tuple[str, ...]
    features: Features | None
    colours: tuple[str, ...]
    recipe: Recipe
    template = "similarity.html.j2"
    quantities: tuple[Quantity, ...] = QUANTITIES
    chart_geometry = charts


def load_similarity(folder: Path) -> SimilaritySection:
    """Lay out the analysis in a folder.

    Raises:
        ValueError: a file in it is missing or broken; it is named.
    """
    document = load_document(folder)
    features = load_features(document)
    with explained(folder / SIMILARITY_FILE, "a similarity analysis"):
        return SimilaritySection(
            chapter=Head(f"Features of {document.origin.network}", facts_of(document.origin)),
            sentences=tuple(verdict(document)),
            warnings=tuple(warnings(document)),
            within=document.within.removesuffix("."),
            band=document.band,
            reach=document.reach,
            maps=map_rows(document),
            has_before=any(found.before is not None for found in document.maps),
            layers=_layers(document),
            uncounted=tuple(uncounted(document)),
            features=features,
            colours=heat_stops(),
            recipe=recipe_of(document.origin),
        )


def _layers(document: Document) -> tuple[LayerPart, ...]:
    """Those with classes, the last one, which is closest to the answer, first."""
    return tuple(
        LayerPart(
            layer=found.layer,
            summary=comparison(found),
            accuracy=accuracy_chart(document, found),
            profile=profile_chart(found),
            classes=class_rows(document, found),
        )
        for found in reversed(document.telling)
        if found.after.classes
    )
