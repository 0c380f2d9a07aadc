# SPDX-License-Identifier: Apache-2.0
"""Make the figures of "How it works" by the library itself: python docs/tools/figures.py writes docs/images/*.png.

Takes half a minute on one core; FreqFusion's kernels are those of a module that is trained for it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from torch import Tensor

from dealias.analysis import aliasing_score, folded_power, power_spectrum, zone_plate
from dealias.analysis.folding import FILTERS
from dealias.data import SyntheticScenes
from dealias.filters import DeAliasingFilter
from dealias.fusion import FreqFusion
from dealias.ops.warp import Warp, demodulate, saliency_map
from dealias.report.html.errors import ERROR_KINDS, error_kinds

IMAGES = Path(__file__).resolve().parents[1] / "images"
WIDTH = 7.0
"""Of every figure, inches at 150 dots: legible when it is shown 700 pixels wide."""

INK, FAINT, GOOD, BAD = "#20242c", "#9aa1ad", "#0072b2", "#d55e00"
LIMIT = 0.25
"""Cycles per sample: what every second sample can hold."""

STYLE = {
    "figure.dpi": 150,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
}


def draw_stride() -> Figure:
    """A wave too fine for half the pixels: averaged as it is, filtered, and on a warped grid that makes it coarser."""
    pixels = torch.arange(256.0)
    envelope = torch.exp(-((pixels - 128) ** 2) / (2 * 9**2))
    signal = 0.25 * torch.cos(2 * math.pi * pixels / 256) + 0.8 * envelope * torch.cos(2 * math.pi * 0.36 * pixels)
    image = signal.expand(1, 1, 64, -1)
    saliency = (0.02 + torch.exp(-((pixels - 128) ** 2) / (2 * 14**2))).expand(1, 1, 64, -1)
    warp = Warp(saliency_map(saliency, sigma=24.0), size=(64, 256))
    rows: list[tuple[str, Tensor, list[Warp], str]] = [
        ("averaged over 2 x 2 as it is", image, [], BAD),
        ("behind the de-aliasing filter, cut-off 0.25", DeAliasingFilter(1, cutoff=LIMIT)(image), [], GOOD),
        ("resampled before, and brought back", warp.apply(image), [warp], GOOD),
    ]
    figure, axes = plt.subplots(3, 2, figsize=(WIDTH, 5.4), width_ratios=(2.2, 1), sharex="col", sharey="col")
    for (title, sent, warps, colour), (left, right) in zip(rows, axes, strict=True):
        restored = demodulate(F.avg_pool2d(sent, 2), warps, (64, 256))
        left.plot(pixels[80:176], signal[80:176], color=FAINT, linewidth=0.8, label="signal")
        left.plot(
            pixels[80:176], restored[0, 0, 32, 80:176], color=colour, linewidth=1.5, label="after stride 2 and back"
        )
        left.set_title(title)
        left.set_ylabel("value")
        spectrum = power_spectrum(sent, 65)[0].sum(0)[32:]
        frequencies = np.arange(33) / 65
        right.fill_between(frequencies, spectrum / spectrum.sum(), step="mid", color=colour, alpha=0.8)
        right.axvspan(LIMIT, 0.5, color=BAD, alpha=0.12, linewidth=0)
        right.set_title(f"too fine: {aliasing_score(sent, LIMIT).item():.0%} of the power")
        right.set_ylabel("share of power")
    axes[0, 0].legend(loc="upper left", frameon=False, ncols=2)
    axes[0, 0].set_ylim(-1.1, 1.4)
    axes[2, 0].set_xlabel("position (pixels)")
    axes[2, 1].set_xlabel("frequency before the stride\n(cycles per pixel)")
    return figure


def draw_zone_plate() -> Figure:
    """A picture of all frequencies, and every second pixel of it behind three filters."""
    plate = zone_plate(64)  # few enough pixels to be shown without aliasing
    figure, axes = plt.subplots(1, 4, figsize=(WIDTH, 2.3))
    axes[0].imshow(plate, cmap="gray", vmin=-1, vmax=1, extent=(-0.5, 0.5, -0.5, 0.5), interpolation="nearest")
    axes[0].set_title("zone plate")
    axes[0].set_xlabel("frequency here\n(cycles per pixel)")
    for axis, name in zip(axes[1:], ("no filter", "blur 3", "ideal 0.25"), strict=True):
        taken = FILTERS[name].apply(plate)[::2, ::2]
        axis.imshow(taken, cmap="gray", vmin=-1, vmax=1, extent=(-0.5, 0.5, -0.5, 0.5), interpolation="nearest")
        axis.set_title(f"{name}, stride 2")
        axis.set_xlabel(f"white noise:\n{folded_power(FILTERS[name]):.0%} folds")
    for axis in axes:
        axis.set_yticks([])
        axis.set_xticks([-0.5, 0, 0.5])
    return figure


def make_edges(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy fine maps [count, 4, 32, 32] and coarse ones of half the size, and the two regions that both show."""
    y, x = torch.meshgrid(*(torch.arange(32.0) - 15.5,) * 2, indexing="ij")
    angle, shift = torch.rand(2, count, 1, 1, generator=generator)
    inside = (x * (2 * math.pi * angle).cos() + y * (2 * math.pi * angle).sin() > 12 * shift - 6).float()[:, None]
    fine = inside + 0.1 * torch.randn(count, 4, 32, 32, generator=generator)
    coarse = F.avg_pool2d(inside, 2) + 0.3 * torch.randn(count, 4, 16, 16, generator=generator)
    return fine, coarse, inside


def train_fusion(steps: int = 150) -> FreqFusion:
    """FreqFusion without its sampler, trained to give noisy coarse maps the borders of the fine ones."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    fusion = FreqFusion(4, 4, compressed_channels=16, feature_resample=False)
    optimizer = torch.optim.Adam(fusion.parameters(), lr=1e-2)
    for _ in range(steps):
        fine, coarse, inside = make_edges(8, generator)
        loss = (fusion(fine, coarse)[1] - inside).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return fusion.eval()


def draw_kernels() -> Figure:
    """Low-pass kernels far from an edge and on either side of it, and what they make of a coarse map."""
    fine, coarse, inside = make_edges(1, torch.Generator().manual_seed(7))
    fusion = train_fusion()
    with torch.no_grad():
        kernels, _, fused = fusion.fuse_with_kernels(fine, coarse)
    bilinear = F.interpolate(coarse, (32, 32), mode="bilinear")
    row = 16
    edge = int(inside[0, 0, row].diff().abs().argmax())
    figure, axes = plt.subplots(2, 4, figsize=(WIDTH, 4.2))
    pictures = {"fine map": fine, "coarse map": coarse, "bilinear": bilinear, "adaptive low-pass": fused}
    for axis, (title, maps) in zip(axes[0], pictures.items(), strict=True):
        axis.imshow(maps[0, 0], cmap="gray", vmin=-0.3, vmax=1.3)
        axis.set_title(title)
        axis.set_xlabel("coarse pixels" if maps is coarse else "fine pixels")
    columns = [edge - 7, edge, edge + 1, edge + 8]
    largest = kernels[0, :, row, columns].max()
    for number, column in enumerate(columns, start=1):
        axes[0, 0].plot(column, row, "s", color=BAD, markersize=3)
        axes[0, 0].annotate(str(number), (column + (number - 2.5), row - 3), color=BAD, ha="center", fontweight="bold")
        axis = axes[1, number - 1]
        shown = axis.imshow(kernels[0, :, row, column].view(5, 5), cmap="viridis", vmin=0, vmax=largest)
        axis.set_title(f"kernel at {number}")
        axis.set_xlabel("coarse pixels")
        axis.set_xticks(range(5), range(-2, 3))
        axis.set_yticks(range(5), range(-2, 3))
    figure.colorbar(shown, ax=axes[1], label="weight", fraction=0.03)
    return figure


def draw_hard_pixels() -> Figure:
    """Labels that went through a grid eight times as coarse, and what kinds of errors that makes."""
    data = SyntheticScenes(1, size=(128, 128), seed=3)
    scene = data.scene(0)
    truth = torch.from_numpy(scene.labels).long()
    scores = F.one_hot(truth.clamp(max=8), 9).permute(2, 0, 1)[None].float()
    coarse = F.avg_pool2d(scores, 8)
    predicted = F.interpolate(coarse, (128, 128), mode="bilinear").argmax(1)[0].numpy().astype(np.uint8)
    kinds = error_kinds(predicted, scene.labels, 255, band=3)
    colours = np.array([(0, 0, 0), *(kind.colour for kind in ERROR_KINDS)], np.uint8)
    grey = (255 - (255 - scene.image.mean(2, keepdims=True).repeat(3, 2)) * 0.35).astype(np.uint8)
    palette = np.array(data.palette, np.uint8)
    pictures = (
        ("image", scene.image),
        ("ground truth", palette[scene.labels.clip(max=8)]),
        ("through stride 8 and back", palette[predicted]),
        ("errors", np.where(kinds[..., None] > 0, colours[kinds], grey)),
    )
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 7.2))
    for axis, (title, picture) in zip(axes.flat, pictures, strict=True):
        axis.imshow(picture)
        axis.set_title(title)
        axis.set_xlabel("pixels")
    handles = [
        Patch(color=np.array(kind.colour) / 255, label=f"{kind.name}: {np.mean(kinds == number):.1%} of the pixels")
        for number, kind in enumerate(ERROR_KINDS, start=1)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def save_small(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of 256 colours, a third as large as one of all."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


FIGURES: dict[str, Callable[[], Figure]] = {
    "stride": draw_stride,
    "zone_plate": draw_zone_plate,
    "kernels": draw_kernels,
    "hard_pixels": draw_hard_pixels,
}


def main() -> None:
    """Write the figures that the arguments name, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(FIGURES)} (default: all)")
    parser.add_argument("--out", type=Path, default=IMAGES, metavar="DIR")
    arguments = parser.parse_args()
    plt.switch_backend("agg")
    settings: dict[str, Any] = {**STYLE, "figure.constrained_layout.use": True}
    for name in arguments.names or FIGURES:
        with plt.rc_context(settings):
            figure = FIGURES[name]()
            arguments.out.mkdir(parents=True, exist_ok=True)
            save_small(figure, arguments.out / f"{name}.png")
            plt.close(figure)


if __name__ == "__main__":
    main()
