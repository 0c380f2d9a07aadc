# SPDX-License-Identifier: Apache-2.0
"""Images that cannot be predicted are all listed and do not stop the others."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dealias.prediction import Predictor


def bomb():
    """A PNG of 60000 x 60000 pixels in a few bytes."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def test_bad_images_are_all_listed_and_the_good_ones_predicted(predict, save):
    whole = save("in/good.png").read_bytes()
    save("in/small.png", (31, 40))
    bad = {"truncated.png": whole[: len(whole) // 2], "empty.png": b"", "text.jpg": b"no image", "bomb.png": bomb()}
    for name, content in bad.items():
        Path("in", name).write_bytes(content)
    Image.fromarray(np.zeros((40, 40), np.float32)).save("in/float.tif")
    reasons = {
        "in/bomb.png": "exceeds limit",
        "in/empty.png": "cannot be read as an image",
        "in/float.tif": "mode F",
        "in/small.png": r"at least 32 pixels high and wide, got 40 x 31",
        "in/text.jpg": "cannot be read as an image",
        "in/truncated.png": "cannot be read as an image",
    }
    code, out, err = predict("in", "--out", "out")
    assert code == 2 and out.startswith("Predicted 1 image,") and "6 of 7 images could not be predicted" in err
    lines = Path("out/problems.txt").read_text().splitlines()
    assert len(lines) == len(reasons)
    for line, (name, reason) in zip(lines, reasons.items(), strict=True):
        assert re.match(f"{name}: .*{reason}", line) and line in err
    assert [path.name for path in Path("out/labels").iterdir()] == ["good.png"]
    save("in/small.png", (40, 40))
    assert predict("in/good.png", "in/small.png", "--out", "out", "--resume")[0] == 0
    assert not Path("out/problems.txt").exists()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_images_of_all_modes_are_predicted(predict, save, mode):
    name = "a.tif" if mode == "CMYK" else "a.png"
    if mode == "I;16":
        Image.fromarray(np.full((40, 50), 40000, np.uint16)).save(name)
    else:
        save(name, mode=mode)
    code, _, err = predict(name, "--out", "out")
    assert code == 0, err


def test_too_little_gpu_memory_is_a_problem_of_the_image(predict, save, monkeypatch):
    save("a.png", (40, 50))

    def exhausted(predictor, image):
        if image.shape[1] > 32:
            raise torch.OutOfMemoryError
        return np.zeros(image.shape[1:], np.uint8)

    monkeypatch.setattr(Predictor, "__call__", exhausted)
    code, _, err = predict("a.png", "--out", "out")
    assert code == 2 and "a.png: 50 x 40 pixels need more memory than the GPU has; try a --window" in err
