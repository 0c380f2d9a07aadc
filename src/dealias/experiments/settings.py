# SPDX-License-Identifier: Apache-2.0
"""What a comparison is: variants, seeds, data, network and training, in plain values that are stored with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dealias._documents import read_yaml

from .variants import NONE, Variant, cross

CONFIG_FILE, RESULTS_FILE = "config.yaml", "metrics.json"

PARTS = ("fusion", "prefilter", "mixer", "modulation")
"""The parts of a :class:`~dealias.experiments.variants.Variant` that have options."""

AXES = ("fusions", "prefilters", "mixers", "modulations")
"""The settings that say which variants there are."""


_LATER = {
    "modulation": NONE,
    "supervision": NONE,
    "modulation_options": {},
    "high_frequency_weight": 0.0,
    "low_light": False,
}
"""What runs of comparisons were that do not tell it yet."""


@dataclass(frozen=True)
class CompareSettings:
    """All that decides the numbers of a comparison.

    Attributes:
        fusions: names of the fusions to compare.
        prefilters: names of the prefilters to compare, each optionally with its mixer, such as ``"daf+freqmix"``.
        mixers: names of the mixers to compare.
        modulations: names of the modulations to compare, each optionally with its loss, such as ``"ars+loss"``. Every
            fusion is combined with every prefilter, mixer and modulation, see
            :func:`~dealias.experiments.variants.cross`; the first variant is the baseline.
        seeds: number of seeds, 0 to ``seeds - 1``; each gives one run per variant.
        data: what to train on, see :func:`dealias.experiments.data.open_data`, or of networks of objects
            :func:`dealias.experiments.object_data.open_objects`.
        low_light: darken all images; of networks of objects.
        arch: architecture, see :func:`dealias.models.create_model`; it decides which kind of comparison this is.
        encoder: timm backbone.
        encoder_weights: ``None`` (from scratch), ``"imagenet"`` or the path of a local file.
        encoder_options: further arguments of the backbone.
        model_options: options of the architecture, such as ``{"decoder_channels": 64}``.
        fusion_options: options by fusion name.
        prefilter_options: options by prefilter name.
        mixer_options: options by mixer name.
        modulation_options: options by modulation name.
        high_frequency_weight: factor of the loss of modulations that are trained with it.
        steps: training steps per run; ``None``: given by ``budget``.
        budget: training seconds per run; ``None``: given by ``steps``.
        batch_size: images per step.
        crop: side of the square training crops in pixels; ``None``: from the data.
        lr: peak learning rate of AdamW; cosine schedule.
        fusion_lr_factor: learning rate of the fusions' parameters relative to the others.
        weight_decay: of AdamW.
        warmup: share of the training in which the learning rate grows linearly.
        clip: largest norm of the gradient.
        band: width in pixels of the boundary band, odd; ``None``: from the image size.
        noise: standard deviation of the noise in validation images, in grey levels of 0 to 255; see
            :func:`dealias.data.evaluation_transform`.
        samples: number of evenly spaced pictures; those of the worst and best images come in addition. Of networks of
            objects there are none.
    """

    fusions: tuple[str, ...] = ("bilinear", "carafe", "freqfusion")
    prefilters: tuple[str, ...] = (NONE,)
    mixers: tuple[str, ...] = (NONE,)
    modulations: tuple[str, ...] = (NONE,)
    seeds: int = 3
    data: str = "scenes"
    low_light: bool = False
    arch: str = "fpn"
    encoder: str = "resnet18"
    encoder_weights: str | None = None
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    model_options: Mapping[str, Any] = field(default_factory=dict)
    fusion_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prefilter_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mixer_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    modulation_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    high_frequency_weight: float = 100.0
    steps: int | None = 400
    budget: float | None = None
    batch_size: int = 8
    crop: int | None = None
    lr: float = 2e-3
    fusion_lr_factor: float = 0.25
    weight_decay: float = 0.01
    warmup: float = 0.08
    clip: float = 5.0
    band: int | None = None
    noise: float = 0.0
    samples: int = 4

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.budget is None):
            raise ValueError(f"give either steps or a budget in seconds, got steps {self.steps}, budget {self.budget}")
        for name in ("seeds", "steps", "budget", "batch_size", "lr", "samples", "high_frequency_weight"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, got {self.noise}")
        for part in PARTS:
            used, given = {getattr(variant, part) for variant in self.variants}, getattr(self, f"{part}_options")
            unknown = set(given) - used
            if unknown:
                raise ValueError(
                    f"options for {', '.join(sorted(unknown))}, which is not among {', '.join(sorted(used))}"
                )

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is compared; the first is the baseline."""
        return cross(self.fusions, self.prefilters, self.mixers, self.modulations)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return {**asdict(self), **{axis: list(getattr(self, axis)) for axis in AXES}}

    def options(self, variant: Variant) -> dict[str, Any]:
        """The options of the parts of a variant, as arguments of :func:`dealias.models.create_model`."""
        names = {f"{part}_options": getattr(variant, part) for part in PARTS}
        return {argument: dict(getattr(self, argument).get(name, {})) for argument, name in names.items()}

    def loss_weight(self, variant: Variant) -> float:
        """Factor of the loss of the modulation of a variant; 0 where it is trained without."""
        return 0.0 if variant.supervision == NONE else self.high_frequency_weight


@dataclass(frozen=True)
class Run:
    """One training of a comparison: a variant with a seed, in a directory of its own."""

    settings: CompareSettings
    variant: Variant
    seed: int
    directory: Path
    device: str = "cpu"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.variant.name}, seed {self.seed}"

    def config(self) -> dict[str, Any]:
        """All that decides the run's numbers, in plain values; other runs of the comparison have no part in it."""
        common = {key: value for key, value in self.settings.to_dict().items() if key not in (*AXES, "seeds")}
        own = {"seed": self.seed, "baseline": self.settings.variants[0].name}
        own["high_frequency_weight"] = self.settings.loss_weight(self.variant)
        return {**common, **asdict(self.variant), **own, **self.settings.options(self.variant)}

    def is_finished(self) -> bool:
        """Whether the directory holds the results of this very run.

        Raises:
            ValueError: it holds those of a run with other settings; the message lists what differs.
        """
        if not (self.directory / RESULTS_FILE).is_file():
            return False
        wanted = self.config()
        found = read_yaml(self.directory / CONFIG_FILE)
        if not isinstance(found, dict):
            raise ValueError(f"{self.directory / CONFIG_FILE}: expected the settings of a run, found {found!r:.100}")
        stored = {**_LATER, **found}
        differing = sorted((key for key in {*stored, *wanted} if stored.get(key) != wanted.get(key)), key=str)
        if differing:
            listed = ", ".join(f"{key} {stored.get(key)!r} instead of {wanted.get(key)!r}" for key in differing)
            raise ValueError(f"{self.directory} holds a finished run of another comparison, with {listed}")
        return True


def plan_runs(settings: CompareSettings, out: Path, device: str) -> list[Run]:
    """Every variant with every seed; the variants of one seed follow each other, so that pairs are complete early."""
    return [
        Run(settings, variant, seed, out / "runs" / f"{variant.folder}-seed{seed}", device)
        for seed in range(settings.seeds)
        for variant in settings.variants
    ]
