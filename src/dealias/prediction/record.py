# SPDX-License-Identifier: Apache-2.0
"""``prediction.json`` says from what and how the files of a folder were predicted, so that only the same is added."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dealias._documents import read_json
from dealias._files import write_json
from dealias.evaluation.problems import shortened
from dealias.train.inference import InferenceSettings
from dealias.train.run_directory import environment

from .inputs import ImageFile
from .outputs import Outputs

RECORD_FILE = "prediction.json"


def begin_or_resume(
    outputs: Outputs,
    images: Sequence[ImageFile],
    checkpoint: Path,
    settings: InferenceSettings,
    device: str,
    resume: bool,
) -> None:
    """Claim the folder of a prediction, or check that an earlier one can be gone on with.

    Args:
        outputs: where the files go.
        images: what is predicted, written down as well.
        checkpoint: compared by its content.
        settings: windows and views.
        device: written down for a new prediction.
        resume: go on with an earlier prediction if there is one.

    Raises:
        ValueError: the folder holds a prediction that is not to be resumed, or that has other settings, another
            checkpoint or another image of the same name; or files that are of no prediction.
    """
    path = outputs.folder / RECORD_FILE
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    plain = json.loads(json.dumps({"sha256": digest, **asdict(settings)}))
    sources = {name: str(source.resolve()) for source, name in images}
    if path.exists():
        if not resume:
            raise ValueError(f"{outputs.folder} holds a prediction already; use --resume, or choose another --out")
        record = _read(path)
        _check_same(outputs.folder, record["settings"], plain)
        _check_same(outputs.folder, record["images"], sources)
        write_json(path, {**record, "images": record["images"] | sources})
        return
    foreign = next((file for name in sources for file in outputs.files(name) if file.exists()), None)
    if foreign is not None:
        raise ValueError(f"{foreign} exists already, and dealias predict did not write it; choose another --out")
    record = {"format": "dealias prediction", "version": 1, "checkpoint": str(checkpoint), "settings": plain}
    write_json(path, {**record, "environment": environment(device=device), "images": sources})


def _read(path: Path) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or not all(isinstance(record.get(key), dict) for key in ("settings", "images")):
        raise ValueError(f"{path}: no record of a prediction, it lacks settings or images")
    return record


def _check_same(folder: Path, stored: dict[str, Any], found: dict[str, Any]) -> None:
    differing = [
        f"{key} {stored[key]} instead of {found[key]}" for key in found if stored.get(key, found[key]) != found[key]
    ]
    if differing:
        raise ValueError(f"{folder} was predicted otherwise, so it cannot be gone on with: {shortened(differing)}")
