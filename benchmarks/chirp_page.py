# SPDX-License-Identifier: Apache-2.0
"""The page of the chirp experiment: ``python benchmarks/chirp_page.py`` writes its pictures and its numbers.

Two files of the results folder, ``chirp.png`` and ``chirp.md``; see ``chirp.py`` for what is measured.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from chirp import CUTOFF, SIGMAS, SIZE, RoundTrip, chirp_image, inverse_error, round_trip, three_warps
from dealias._files import replacing
from dealias.ops.warp import Warp
from dealias.report.canvas import Tile, draw_grid
from results import RESULTS

SCALE = 2
"""Picture pixels to a pixel of the image."""

VALUES, ERRORS, DECADES = 0.6, 0.2, 6
"""What is drawn black and white: values, errors, and powers of ten below the strongest frequency."""

STEP = 4
"""Every how many samples, along both axes, one is drawn as a point."""

BOX = (255, 140, 0)
POINTS = (255, 150, 60)

Picture = NDArray[np.uint8]


def main() -> None:
    image = chirp_image()
    trips = [round_trip(image), *(round_trip(image, sigma) for sigma in SIGMAS)]
    RESULTS.mkdir(parents=True, exist_ok=True)
    with replacing(RESULTS / "chirp.png") as temporary:
        draw(trips).save(temporary, "PNG")
    (RESULTS / "chirp.md").write_text(page(trips))


def draw(trips: list[RoundTrip]) -> Image.Image:
    """A row per round trip: what was sampled where, what was pooled, what came back, and the spectrum."""
    rows = []
    for trip, name in zip(trips, ["no warp", *(f"sigma {sigma:g} px" for sigma in SIGMAS)], strict=True):
        crowd = "as it is" if trip.warp is None else f"one sample of {STEP} x {STEP}"
        largest = (trip.restored - trip.image).abs().max()
        rows.append(
            [
                Tile(sampled(trip), name, crowd),
                Tile(grey(trip.modulated, VALUES), "sampled", f"{SIZE} x {SIZE}"),
                Tile(spectrum(trip.modulated), "its spectrum", f"{100 * trip.aliasing:.1f} % outside the box"),
                Tile(grey(trip.pooled, VALUES, 2 * SCALE), "pooled 2x2", f"{SIZE // 2} x {SIZE // 2}"),
                Tile(grey(trip.restored, VALUES), "brought back", f"{trip.psnr:.1f} dB"),
                Tile(
                    grey(trip.restored - trip.image, ERRORS),
                    "error, three times the contrast",
                    f"largest {largest:.2f}",
                ),
            ]
        )
    subtitle = (
        f"Waves of 0.36 and 0.33 cycles per sample; the box is {CUTOFF} cycles per sample, what 2x2 pooling leaves"
    )
    return draw_grid("Crowding samples where waves are fine, before pooling", subtitle, rows, width=SIZE * SCALE)


def sampled(trip: RoundTrip) -> Picture:
    """The image, fainter, with points where every STEP-th pixel of the warped grid looks."""
    if trip.warp is None:
        return grey(trip.image, VALUES)
    picture = grey(trip.image, 2 * VALUES)
    looks_at = trip.warp.map[0, :, STEP // 2 :: STEP, STEP // 2 :: STEP]
    x, y = ((looks_at * SCALE).round().long().clamp(max=SIZE * SCALE - 2)).numpy()
    for across in (0, 1):
        for down in (0, 1):
            picture[y + down, x + across] = POINTS
    return picture


def grey(values: Tensor, limit: float, scale: int = SCALE) -> Picture:
    """Values [1, 1, H, W] from minus to plus ``limit``, as grey squares."""
    levels = ((values[0, 0] / limit).clamp(-1, 1) * 127.5 + 127.5).round().byte().numpy()
    return enlarged(np.repeat(levels[..., None], 3, axis=2), scale)


def spectrum(values: Tensor) -> Picture:
    """Power in logarithmic grey, frequency 0 in the middle; a box around what the pooled grid can hold."""
    power = torch.fft.fftshift(torch.fft.fft2(values[0, 0].double()).abs().square())
    level = (power / power.max()).clamp(min=10.0**-DECADES).log10() / DECADES + 1
    picture = enlarged(np.repeat((level * 255).round().byte().numpy()[..., None], 3, axis=2), SCALE)
    low, high = (round((0.5 + side * CUTOFF) * SIZE * SCALE) for side in (-1, 1))
    picture[[low, high], low : high + 1] = BOX
    picture[low : high + 1, [low, high]] = BOX
    return picture


def enlarged(picture: Picture, scale: int) -> Picture:
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def page(trips: list[RoundTrip]) -> str:
    plain, *warped = trips
    lines = [
        "# The chirp experiment",
        "",
        "Waves of 0.36 and 0.33 cycles per sample in two patches on a smooth background, 128 x 128 pixels, averaged",
        "over 2 x 2 and brought back by bilinear sampling: as they are, and on a grid crowded at them (`chirp.py`).",
        "",
        "![the image, what is pooled, its spectrum and what comes back, for each warp](chirp.png)",
        "",
        "| warp | power above 0.25 before pooling | falls by | brought back | gain |",
        "|---|---|---|---|---|",
        f"| none | {plain.aliasing:.3f} | | {plain.psnr:.1f} dB | |",
    ]
    for sigma, trip in zip(SIGMAS, warped, strict=True):
        fall, gain = plain.aliasing / trip.aliasing, trip.psnr - plain.psnr
        lines.append(
            f"| sigma {sigma:g} px | {trip.aliasing:.3f} | {fall:.1f}x | {trip.psnr:.1f} dB | {gain:+.1f} dB |"
        )
    lines += [
        "",
        "The largest distance, in pixels, of any pixel from where the map looks at the place that the inverse found",
        "for it: through one warp, and through three in a row, each made for what the one before left. The mesh takes",
        "the map as linear on triangles, Newton's method as bilinear, and each is checked by its own.",
        "",
        "| warp | one, mesh | one, Newton | three, mesh | three, Newton |",
        "|---|---|---|---|---|",
        *(errors(sigma, three_warps(plain.image, sigma)) for sigma in SIGMAS),
    ]
    return "\n".join(lines) + "\n"


def errors(sigma: float, warps: list[Warp]) -> str:
    found = [inverse_error(warps[:count], method) for count in (1, 3) for method in ("mesh", "newton")]
    return f"| sigma {sigma:g} px | " + " | ".join(f"{error:.0e}" for error in found) + " |"


if __name__ == "__main__":
    main()
