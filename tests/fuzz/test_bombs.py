# SPDX-License-Identifier: Apache-2.0
"""Small files that claim to be huge are refused before they are believed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bombs import BOMBS, SIDE
from PIL import Image

from dealias._documents import read_yaml
from dealias.data import read_image
from dealias.data.coco_masks import decode_segmentation, run_lengths


@pytest.fixture(scope="module")
def results():
    """What a process that may take 1 GiB made of every bomb."""
    script = Path(__file__).with_name("bombs.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["bomb"]: line for line in lines}


@pytest.mark.parametrize("name", BOMBS)
def test_refused_within_a_gigabyte(results, name):
    # The check of a data set notes what is wrong and goes on.
    assert results[name]["result"] == ("good" if BOMBS[name][0] == "check-instances" else "refused")


def test_together_they_took_little_memory(results):
    grown = [line["kib"] for line in results.values()]
    assert grown[-1] - grown[0] < 2**19


@pytest.mark.parametrize("name", ["png", "gif", "bmp", "jpeg", "tiff", "ppm"])
def test_bombs_are_images_but_for_their_size(target, name):
    reader, file, write = BOMBS[name]
    images = target(reader)
    good = images.folder / file
    content = good.read_bytes()
    try:
        write(images.folder)
        with pytest.raises((Image.DecompressionBombError, ValueError), match="exceeds limit"):
            read_image(good)
        Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
        try:
            with Image.open(good) as image:
                assert image.size == (SIDE, SIDE)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    finally:
        good.write_bytes(content)


def test_an_array_of_terabytes_is_refused(target):
    reader = target("report-similarity")
    file = next((reader.folder / "out").rglob("*.npy"))
    good, header = file.read_bytes(), io.BytesIO()
    shape = {"descr": "|i1", "fortran_order": False, "shape": (2, 10**6, 10**6, 1)}
    np.lib.format.write_array_header_1_0(header, shape)
    file.write_bytes(header.getvalue() + bytes(100))
    try:
        assert reader.read(file) == "refused"
    finally:
        file.write_bytes(good)


def test_honest_aliases_and_outlines_are_read(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("base: &base {x: 1, y: [2, 3]}\nother: {<<: *base, z: *base}\n")
    base = {"x": 1, "y": [2, 3]}
    assert read_yaml(file) == {"base": base, "other": {**base, "z": base}}
    box = decode_segmentation([[-5, -5, 1000, -5, 1000, 1000, -5, 1000]], (20, 30))
    assert box.shape == (20, 30) and box.all()


def test_compressed_run_lengths_of_64_bits_are_read_and_longer_ones_refused():
    number = 2**62
    digits = [number >> 5 * place & 31 for place in range(13)]
    text = "".join(chr(48 + (digit | (32 if place < 12 else 0))) for place, digit in enumerate(digits))
    assert run_lengths(text) == [number]
    with pytest.raises(ValueError, match="more than 64 bits"):
        run_lengths("o" + text)


def test_counts_that_wrap_around_are_refused():
    lengths = [2**62] * 4 + [6]
    assert np.asarray(lengths, np.int64).sum() == 6
    with pytest.raises(ValueError, match="sum to 6"):
        decode_segmentation({"size": [2, 3], "counts": lengths}, (2, 3))
