# SPDX-License-Identifier: Apache-2.0
"""All that the template shows of an analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dealias.report.html.analyses import Head, facts_of, recipe_of
from dealias.report.html.documents import explained
from dealias.report.html.heat import heat_stops
from dealias.report.html.recipe import Recipe

from . import scatter, spectra
from .document import ANALYSIS_FILE, load_document
from .layers import LayerRow, layer_row
from .maps import MappedImage, load_maps
from .scatter import CorrelationRow, ScatterChart, correlation_rows, scatter_charts
from .spectra import SpectrumChart, decades_per_line, lowest_decade, spectrum_charts
from .words import connection, verdict, warnings

_FINE, _EVERY, _LENGTH = 0.4, 2, 20
"""The example: a wave of so many cycles per sample, of which every second sample is kept."""


@dataclass(frozen=True)
class Example:
    """A wave, the samples that are kept of it, and the wave that these show; a drawing of 400 x 90 units."""

    fine: str
    false: str
    samples: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class AliasingSection:
    """An analysis, laid out; ``geometry`` says where the frames of the charts are."""

    chapter: Head
    sentences: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]
    example: Example
    within: str
    layers: tuple[LayerRow, ...]
    spectra: tuple[SpectrumChart, ...]
    grid_factor: str
    colours: tuple[str, ...]
    images: tuple[MappedImage, ...]
    scatter: tuple[ScatterChart, ...]
    connection: tuple[str, ...]
    metrics: tuple[str, ...]
    correlations: tuple[CorrelationRow, ...]
    recipe: Recipe
    template = "aliasing.html.j2"
    spectrum_geometry = spectra
    scatter_geometry = scatter


def load_section(folder: Path) -> AliasingSection:
    """Lay out the analysis in a folder.

    Raises:
        ValueError: a file in it is missing or broken; it is named.
    """
    document = load_document(folder)
    images = load_maps(document)
    with explained(folder / ANALYSIS_FILE, "an analysis"):
        worst = document.losing[:1]
        return AliasingSection(
            chapter=Head(f"Aliasing in {document.origin.network}", facts_of(document.origin)),
            sentences=tuple(verdict(document)),
            warnings=tuple(warnings(document)),
            example=example(),
            within=document.within.removesuffix("."),
            layers=tuple(layer_row(layer, layer in worst) for layer in document.layers),
            spectra=spectrum_charts(document.layers),
            grid_factor="ten" if decades_per_line(lowest_decade(document.layers)) == 1 else "a hundred",
            colours=heat_stops(),
            images=images,
            scatter=scatter_charts(document),
            connection=tuple(connection(document)),
            metrics=tuple(document.errors),
            correlations=correlation_rows(document),
            recipe=recipe_of(document.origin),
        )


def example() -> Example:
    """A fine wave and what is left of it after every second sample: a coarse one, through the same points."""
    steps = [step / 20 for step in range(20 * _LENGTH + 1)]
    alias = abs(_FINE - 1 / _EVERY)
    kept = range(0, _LENGTH + 1, _EVERY)
    return Example(_wave(steps, _FINE), _wave(steps, alias), tuple(_place(x, _FINE) for x in kept))


def _wave(steps: list[float], frequency: float) -> str:
    return "M" + "L".join("{:g} {:g}".format(*_place(x, frequency)) for x in steps)


def _place(x: float, frequency: float) -> tuple[float, float]:
    return round(10 + 19 * x, 1), round(45 - 32 * math.cos(2 * math.pi * frequency * x), 1)
