# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from dealias.report.comparison import RunResult, compare_runs
from dealias.report.pictures import Pictures, Sample

METRICS = ("mIoU", "DErr")


@pytest.fixture
def comparison():
    """Two variants, three seeds: mIoU differs clearly, DErr within the seeds' spread."""
    scores = {
        "bilinear": [(0.700, 0.30), (0.710, 0.31), (0.690, 0.32)],
        "freqfusion": [(0.720, 0.31), (0.731, 0.29), (0.709, 0.32)],
    }
    runs = [
        RunResult(variant, seed, dict(zip(METRICS, pair, strict=True)), parameters, seconds, steps)
        for (variant, pairs), parameters, seconds, steps in zip(
            scores.items(), (1_300_000, 1_614_070), (0.09, 0.18), (400, 200), strict=True
        )
        for seed, pair in enumerate(pairs)
    ]
    return compare_runs(reversed(runs), tuple(scores), METRICS)


@pytest.fixture
def pictures():
    """Two samples of 8x10 pixels with three classes; the second has ignored pixels."""
    samples = []
    for number in range(2):
        generator = np.random.default_rng(number)
        truth = generator.integers(0, 3, (8, 10)).astype(np.uint8)
        truth[0, :5] = 255 if number else truth[0, :5]
        image = generator.integers(0, 256, (8, 10, 3)).astype(np.uint8)
        samples.append(Sample(f"sample {number}", image, truth, generator.integers(0, 3, (8, 10)).astype(np.uint8)))
    return Pictures(("ground", "pole", "sign"), ((10, 20, 30), (200, 100, 0), (0, 50, 250)), 255, "all", tuple(samples))
