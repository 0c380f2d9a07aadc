# SPDX-License-Identifier: Apache-2.0
"""The page that goes with shared weights: what network it is, how well it does, on what data, and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dealias._documents import read_json, read_yaml

_KINDS = {
    "segmentation": ("image-segmentation", "SegmentationModel"),
    "classification": ("image-classification", "ClassificationModel"),
    "objects": ("object-detection", "DetectionModel"),
}
"""What the hub calls a task, and the class of its networks."""

_SHOWN_PARTS = ("arch", "model_name", "encoder_name", "fusion", "prefilter", "mixer", "modulation", "classes")


@dataclass(frozen=True)
class CardFacts:
    """What a model card says beside the network itself. What is not given is said to be unknown.

    Args:
        scores: by name, as fractions or whatever the metric is in.
        data: what the network was trained and scored on.
        command: what made it.
        license: of the weights, an identifier as the hub has it, such as ``apache-2.0``.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    data: str | None = None
    command: str | None = None
    license: str | None = None

    @classmethod
    def of_run(cls, run: str | Path, license: str | None = None) -> CardFacts:
        """What the folder of a dealias run says in ``metrics.json``, ``config.yaml`` and ``env.json``.

        Args:
            run: the folder, such as ``runs/NAME``. Scores are those of the last validation.
            license: of the weights.

        Raises:
            ValueError: one of the files is missing, damaged or of another kind; the message names it.
        """
        folder = Path(run)
        metrics, config, environment = (
            _mapping(folder / name, read)
            for name, read in (("metrics.json", read_json), ("config.yaml", read_yaml), ("env.json", read_json))
        )
        found = metrics.get("scores")
        scores = next(iter(found.values()), None) if isinstance(found, dict) else None
        named = scores if isinstance(scores, dict) else {}
        numbers = {name: value for name, value in named.items() if isinstance(value, (int, float))}
        data = config.get("data")
        parts = {key: data[key] for key in ("train", "val") if data.get(key)} if isinstance(data, dict) else {}
        return cls(numbers, json.dumps(parts, indent=2) if parts else None, environment.get("command"), license)


def model_card(task: str, config: Mapping[str, Any], parameters: int, facts: CardFacts) -> str:
    """The page in Markdown, with the header that the hub reads.

    Args:
        task: of :data:`dealias.models.files.TASKS`.
        config: the network's arguments.
        parameters: how many the network has.
        facts: everything else.
    """
    licensed = [f"license: {facts.license}"] if facts.license else []
    pipeline, kind = _KINDS[task]
    header = ["---", "library_name: dealias", f"pipeline_tag: {pipeline}", *licensed, "tags:", "- dealias", "---"]
    name = " with ".join(str(config[key]) for key in ("arch", "encoder_name", "model_name") if key in config)
    rows = {key: config[key] for key in _SHOWN_PARTS if config.get(key) is not None} | {"parameters": f"{parameters:,}"}
    scores = {key: f"{value:.4g}" for key, value in facts.scores.items()}
    return "\n".join(
        [
            *header,
            f"# {name}",
            f"A network for {task} of the library dealias.",
            "## Use",
            f"```python\nfrom dealias.models import {kind}\n\nmodel = {kind}.from_pretrained('FOLDER-OR-NAME')\n```",
            "## Network",
            _table(("argument", "value"), rows),
            "All arguments are in config.json.",
            "## Scores",
            _table(("metric", "value"), scores) if scores else "Unknown.",
            "## Data",
            _block(facts.data),
            "## Made by",
            _block(facts.command),
            "",
        ]
    )


def _table(titles: tuple[str, str], rows: Mapping[str, Any]) -> str:
    cells = [titles, ("---", "---"), *rows.items()]
    return "\n" + "\n".join(f"| {name} | {value} |" for name, value in cells) + "\n"


def _block(text: str | None) -> str:
    return f"\n```\n{text}\n```\n" if text else "Unknown."


def _mapping(path: Path, read: Any) -> dict[str, Any]:
    content = read(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: it must hold values by name, as the file of a dealias run does")
    return content
