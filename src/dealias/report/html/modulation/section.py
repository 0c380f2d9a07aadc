# SPDX-License-Identifier: Apache-2.0
"""All that the template shows of an analysis of modulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dealias.report.html.analyses import Head, facts_of, recipe_of
from dealias.report.html.documents import explained
from dealias.report.html.recipe import Recipe

from . import spectra
from .document import MODULATION_FILE, load_document
from .pictures import ShownImage, load_pictures
from .rows import CHANGES, Column, StageRow, detailed_rows, place_names, stage_rows
from .spectra import SERIES, Example, SpectraChart, example, spectra_charts
from .words import verdict, warnings


@dataclass(frozen=True)
class ModulationSection:
    """An analysis, laid out; ``chart_geometry`` says where the frames of the charts are."""

    chapter: Head
    sentences: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]
    example: Example
    within: str
    band: int | None
    stages: tuple[StageRow, ...]
    places: tuple[str, ...]
    details: tuple[tuple[str, tuple[str, ...]], ...]
    spectra: tuple[SpectraChart, ...]
    images: tuple[ShownImage, ...]
    recipe: Recipe
    template = "modulation.html.j2"
    changes: tuple[Column, ...] = CHANGES
    series: tuple[tuple[str, str], ...] = tuple(SERIES.values())
    chart_geometry = spectra


def load_modulation(folder: Path) -> ModulationSection:
    """Lay out the analysis in a folder.

    Raises:
        ValueError: a file in it is missing or broken; it is named.
    """
    document = load_document(folder)
    images = load_pictures(document)
    with explained(folder / MODULATION_FILE, "a modulation analysis"):
        return ModulationSection(
            chapter=Head(f"Modulation in {document.origin.network}", facts_of(document.origin)),
            sentences=tuple(verdict(document)),
            warnings=tuple(warnings(document)),
            example=example(),
            within=document.within.removesuffix("."),
            band=document.band,
            stages=stage_rows(document),
            places=place_names(document),
            details=detailed_rows(document),
            spectra=spectra_charts(document.stages),
            images=images,
            recipe=recipe_of(document.origin),
        )
