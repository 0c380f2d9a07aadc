# SPDX-License-Identifier: Apache-2.0
"""A folder as ``dealias analyze --similarity`` leaves it, with made-up numbers."""

import json

import numpy as np
import pytest
from PIL import Image

from dealias.analysis import ClassSimilarity, FeatureSimilarity

CLASSES = ("ground", "pole & <co>", "sign")
FUSIONS = ("net.path.fusions.1", "net.path.fusions.0")
REACH = 4


def similarity(gain, labels=(0, 2)):
    """Boundaries 2 - gain pixels off, to both sides."""
    profile = tuple(np.clip(np.linspace(1.5, -0.5, 2 * REACH) * (1 + gain), 0, 1).tolist())
    found = [ClassSimilarity(of, 7 - of, 0.8, 0.4 - gain, 0.5 + gain / (1 + of), profile) for of in labels]
    return FeatureSimilarity(8, tuple(found)).to_dict()


def features(folder, stem, random, sides=("before", "after")):
    for side in sides:
        Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(folder / f"{stem}_{side}.png")
    vectors = random.standard_normal((len(sides), 5, 6, 8))
    vectors = np.rint(127 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.int8)
    np.save(folder / f"{stem}.npy", vectors)
    names = {side: f"pictures/{stem}_{side}.png" if side in sides else None for side in ("before", "after")}
    return {**names, "vectors": f"pictures/{stem}.npy", "kept": 0.876}


@pytest.fixture(scope="session")
def similarity_entry():
    """``similarity_entry(gain, labels)``: the numbers of a map."""
    return similarity


@pytest.fixture(scope="session")
def make_similarity():
    """``make_similarity(folder, ...)``: of two fusions, or layers, whose gains differ."""

    def make(folder, weights="trained", gains=(0.1, 0.2), fused=True):
        (folder / "pictures").mkdir(parents=True)
        random = np.random.default_rng(0)
        maps, entries = [], {0: [], 1: []}
        for layer, gain in zip(FUSIONS, gains, strict=True):
            for name in ("coarse", "sum") if fused else ("output",):
                before = similarity(0.0, (0,) if layer == FUSIONS[0] else (0, 2)) if fused else None
                maps.append({"layer": layer, "map": name, "channels": 5, "size": [6, 8]})
                maps[-1] |= {"before": before, "after": similarity(gain)}
                for number, of_picture in entries.items():
                    stem = f"{number}_{layer[-1]}_{name}"
                    sides = ("before", "after") if fused else ("after",)
                    files = features(folder / "pictures", stem, random, sides)
                    of_picture.append({"layer": layer, "map": name, **files})
        labels = np.zeros((24, 32), np.uint8)
        labels[:, 12:] = 2
        Image.fromarray(labels).save(folder / "pictures" / "labels.png")
        Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / "pictures" / "image.png")
        shown = {"image": "pictures/image.png", "labels": "pictures/labels.png"}
        data = {
            "network": {"name": "net & <co>", "source": "net", "weights": weights},
            "data": {"source": "some", "images": 8, "of": 20, "classes": list(CLASSES), "ignore_index": 255},
            "settings": {"size": None, "layers": None, "grid": None, "band": 5, "reach": REACH},
            "environment": {
                "versions": {"dealias": "0.1.0"},
                "command": "dealias analyze --similarity",
                "device": "cpu",
            },
            **{"maps": maps, "unused": ["net.idle"]},
            "pictures": [{"name": f"image {number}", **shown, "maps": of} for number, of in entries.items()],
        }
        (folder / "similarity.json").write_text(json.dumps(data).replace("NaN", "null"))
        return folder

    return make


@pytest.fixture
def folder(make_similarity, tmp_path):
    return make_similarity(tmp_path / "out")
