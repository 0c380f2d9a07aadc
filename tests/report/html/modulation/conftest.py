# SPDX-License-Identifier: Apache-2.0
"""A folder as ``dealias analyze --modulation`` leaves it, with made-up numbers."""

import json

import numpy as np
import pytest
from PIL import Image

MODULES = ("net.layer2.0.modulation", "net.layer3.<&>.modulation")
MAPS = {"before": (12, 16), "modulated": (12, 16), "sampled": (6, 8), "demodulated": (12, 16), "plain": (12, 16)}


def spread(mean, images=8):
    return {"mean": mean if images else None, "std": 0.01 if images else None, "images": images}


def stage(name, gain, labelled, flips):
    lowest = {"before": 1e-2, "modulated": 1e-3, "demodulated": 2e-4, "plain": 1e-4}
    curves = {of: np.geomspace(0.5, low, 16).tolist() for of, low in lowest.items()}
    shares = {"before": 0.2, "modulated": 0.2 - gain, "demodulated": 0.05, "plain": 0.04}
    return {
        "name": name,
        **{"stride": 2, "channels": 8, "size": [12, 16], "nyquist": 0.25, "images": 8},
        "frequencies": [(n + 0.5) / 32 for n in range(16)],
        "spectra": curves,
        "spectra_std": curves,
        "aliasing": {of: spread(share) for of, share in shares.items()},
        "lost": {"demodulated": spread(0.3 - gain), "plain": spread(0.3)},
        "detail": {"demodulated": spread(0.4), "plain": spread(-0.1)},
        "displacement": spread(20 * gain),
        "flips": spread(flips),
        "density": spread(1 + 2 * gain, 8 * labelled),
        "correlation": spread(5 * gain, 8 * labelled),
    }


@pytest.fixture(scope="session")
def make_modulation():
    """``make_modulation(folder, ...)``: of two stages whose gains differ."""

    def make(folder, weights="trained", gains=(0.1, 0.05), labelled=True, flips=0.0):
        (folder / "pictures").mkdir(parents=True)
        random = np.random.default_rng(0)

        def picture(name, size):
            Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / "pictures" / name)
            return f"pictures/{name}"

        of_stages = []
        for order, name in enumerate(MODULES):
            maps = {of: picture(f"{order}_{of}.png", size) for of, size in MAPS.items()}
            attention, points = (picture(f"{order}_{of}.png", (48, 64)) for of in ("attention", "points"))
            of_stages.append({"name": name, "attention": attention, "top": 2.5, "points": points, "every": 1 + order})
            of_stages[-1]["maps"] = maps
        image = picture("image.png", (24, 32))
        data = {
            "network": {"name": "net & <co>", "source": "net", "weights": weights},
            "data": {"source": "some", "images": 8, "of": 20},
            "settings": {"size": None, "band": 5 if labelled else None},
            "environment": {
                "versions": {"dealias": "0.1.0"},
                "command": "dealias analyze --modulation",
                "device": "cpu",
            },
            "stages": [stage(name, gain, labelled, flips) for name, gain in zip(MODULES, gains, strict=True)],
            "pictures": [{"name": "image 3", "image": image, "overview": image, "stages": of_stages}],
        }
        (folder / "modulation.json").write_text(json.dumps(data))
        return folder

    return make


@pytest.fixture
def folder(make_modulation, tmp_path):
    return make_modulation(tmp_path / "out")
