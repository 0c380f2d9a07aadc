# SPDX-License-Identifier: Apache-2.0
"""How to do it again: command, configuration, versions, revision and seeds, as they were written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .chapters import Chapter
from .documents import explained, read_object
from .evaluations import EVALUATION_FILE
from .sources import COMPARISON_FILE


@dataclass(frozen=True)
class Recipe:
    """Of a comparison or of a single run; empty: not known."""

    name: str
    command: str
    config: str
    facts: tuple[tuple[str, str], ...]


def load_recipes(chapter: Chapter) -> list[Recipe]:
    """One for a comparison, or one for each of the single runs or evaluations.

    Raises:
        ValueError: ``env.json`` or ``config.yaml`` is broken; it is named.
    """
    if chapter.folder is not None:
        seeds = sorted({run.seed for run in chapter.runs if run.seed is not None})
        return [_load(chapter.title, chapter.folder, seeds)]
    if chapter.kind == "evaluations":
        return [_load_settings(run.variant, run.folder / EVALUATION_FILE) for run in chapter.runs if run.folder]
    return [
        _load(run.variant, run.folder, [] if run.seed is None else [run.seed])
        for run in chapter.runs
        if run.folder is not None
    ]


def _load_settings(name: str, path: Path) -> Recipe:
    data = read_object(path)
    settings = json.dumps(data.get("settings"), indent=2, ensure_ascii=False)
    return Recipe(name, "", settings, (("dealias", str(data.get("dealias", "not known"))),))


def _load(name: str, folder: Path, seeds: Sequence[int]) -> Recipe:
    path, config = folder / "env.json", folder / "config.yaml"
    environment = read_object(path) if path.is_file() else {}
    if not path.is_file() and (folder / COMPARISON_FILE).is_file():
        path = folder / COMPARISON_FILE
        environment = read_object(path).get("environment") or {}
    with explained(path, "a description of the environment"):
        facts = {
            "git revision": environment.get("revision"),
            "seeds": ", ".join(map(str, seeds)),
            "device": environment.get("device"),
            "threads": environment.get("threads"),
            "system": environment.get("system"),
            "started": environment.get("started"),
            **(environment.get("versions") or {}),
        }
        command = str(environment.get("command") or "")
    with explained(config, "text"):
        text = config.read_text(encoding="utf-8") if config.is_file() else ""
    known = tuple((str(fact), str(value)) for fact, value in facts.items() if value not in (None, ""))
    return Recipe(name, command, text, known)
