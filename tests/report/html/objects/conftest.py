# SPDX-License-Identifier: Apache-2.0
import csv
import json

import numpy as np
import pytest
from PIL import Image

from dealias.report.object_errors import draw_object_errors
from dealias.report.outcome import write_outcome

AP, PQ = ("AP", "AP50", "AP75", "APs", "APm", "APl"), ("PQ", "SQ", "RQ")
RECALLS = [position / 100 for position in range(101)]
SIZE = 48, 64


@pytest.fixture(scope="session")
def make_objects():
    """``make_objects(folder, ...)``: a run on objects as ``dealias fit`` leaves it, with made-up numbers."""
    return objects_run


@pytest.fixture(scope="session")
def make_objects_comparison():
    """``make_objects_comparison(folder, gains, ...)``: as ``dealias compare`` leaves it, with made-up numbers."""
    return objects_comparison


def objects_run(folder, things=3, stuff=2, masks=True, pictures=True, gain=0.0, split="val"):
    """The last thing and the last stuff class are absent; the first things have higher scores than the last."""
    folder.mkdir(parents=True)
    random = np.random.default_rng([things, stuff])
    classes = [f"thing {number} & co" for number in range(things)] + [f"stuff {number}" for number in range(stuff)]
    palette = random.integers(0, 256, (things + stuff, 3)).tolist()
    about = {"classes": classes, "is_thing": [True] * things + [False] * stuff, "palette": palette}
    scores = {name: detections(random, things, gain) for name in ("box", "mask") if name == "box" or masks}
    if stuff:
        scores["panoptic"] = panoptic(random, things, stuff, gain)
    write(folder / "objects.json", {"split": split, **about, "recalls": RECALLS, **scores})
    results = {"command": "fit", "task": "objects", "classes": classes, "parameters": 456_000, "steps": 40}
    results |= {"seconds": 5.0, "seconds_per_step": 0.125, "scores": {split: flat(scores)}}
    write(folder / "metrics.json", results)
    write(folder / "env.json", {"seed": 3, "command": "dealias fit --task objects", "device": "cpu"})
    (folder / "config.yaml").write_text("task: objects\n")
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "train/loss", "val/mask_AP"])
        writer.writerows([step, 3 / (1 + step), ""] for step in range(0, 40, 4))
        writer.writerows([step, "", 0.01 * step] for step in (20, 40))
    if pictures:
        write_pictures(folder / "pictures", about, masks or stuff > 0, gain)
    return folder


def objects_comparison(out, gains, columns=("PQ", "PQ things", "mask AP"), **options):
    """A comparison of networks of objects with two seeds; ``gains``: of the variants by name."""
    folders = {}
    for name, gain in gains.items():
        folders[name] = [out / "runs" / f"{name}-seed{seed}" for seed in range(2)]
        for seed, folder in enumerate(folders[name]):
            objects_run(folder, gain=gain + 0.01 * seed * (1 + gain), **options)
    write_outcome(out, folders, {}, {column: column.replace(" ", "_") for column in columns})
    return out


def flat(scores):
    prefixes = {"box": "box_", "mask": "mask_", "panoptic": ""}
    return {f"{prefixes[key]}{name}": value for key, of in scores.items() for name, value in of.items()}


def detections(random, things, gain):
    by_class = [*(0.8 - 0.5 * np.arange(things - 1) / things + gain).tolist(), None]
    scores = dict(zip(AP, (random.uniform(0.2, 0.5, 6) + gain).tolist(), strict=True)) | {"APl": None}
    curves = {name: (top * np.linspace(1, 0, 101) + gain).tolist() for name, top in (("0.50", 0.9), ("0.75", 0.6))}
    return scores | {"class_AP": by_class, "precision": curves | {"mean": [None, *curves["0.75"][1:]]}}


def panoptic(random, things, stuff, gain):
    parts = [f"{name}{part}" for part in ("", "_things", "_stuffs") for name in PQ]
    scores = dict(zip(parts, (random.uniform(0.2, 0.5, 9) + gain).tolist(), strict=True))
    by_class = [*random.uniform(0, 0.6, things - 1).tolist(), None, *random.uniform(0, 0.6, stuff - 1).tolist(), None]
    return scores | {f"class_{name}": by_class for name in PQ}


def write_pictures(folder, about, errors, gain):
    folder.mkdir()
    samples = []
    for number in range(2):
        random = np.random.default_rng(number)
        image, truth = random.integers(0, 256, (2, *SIZE, 3)).astype(np.uint8)
        prediction = np.random.default_rng([number, int(100 * gain)]).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        kinds = np.zeros(SIZE, np.uint8)
        kinds[:12, :16], kinds[20:26] = 1, 4
        parts = {"image": image, "truth": truth, "prediction": prediction}
        parts |= {"errors": draw_object_errors(image, kinds)} if errors else {}
        for part, pixels in parts.items():
            Image.fromarray(pixels).save(folder / f"{number:03}_{part}.png")
        files = {part: f"{number:03}_{part}.png" for part in parts}
        samples.append({"name": f"scene {number}", "why": ["evenly spaced"], **files})
    write(folder / "pictures.json", {"task": "objects", **about, "rule": "2 of 9 images", "samples": samples})


def write(path, content):
    path.write_text(json.dumps(content))
