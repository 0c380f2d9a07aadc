# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from dealias.data import read_image, read_labels

RGB = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
GRAY = RGB[:, :, 0]


def gray_png(ids: np.ndarray, bits: int) -> bytes:
    """A gray PNG of 1 to 8 bits per pixel, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = []
    for row in ids.tolist():
        line = "".join(format(value, f"0{bits}b") for value in row)
        line += "0" * (-len(line) % 8)
        lines.append(b"\0" + bytes(int(line[i : i + 8], 2) for i in range(0, len(line), 8)))
    header = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(lines))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF", "a.webp"])
def test_lossless_formats_give_the_pixels(tmp_path, save, name):
    path = save(tmp_path / name, RGB, **({"lossless": True} if name == "a.webp" else {}))
    image = read_image(path)
    assert image.dtype == torch.uint8 and image.is_contiguous()
    assert np.array_equal(image.permute(1, 2, 0).numpy(), RGB)


def test_jpeg(tmp_path, save):
    smooth = np.linspace(0, 200, 32, dtype=np.uint8)[:, None, None] + np.zeros((32, 32, 3), np.uint8)
    image = read_image(save(tmp_path / "a.jpeg", smooth, quality=95))
    assert np.abs(image.permute(1, 2, 0).numpy().astype(int) - smooth).max() < 6


def test_gray_palette_and_alpha_become_rgb(tmp_path, save):
    gray = np.repeat(GRAY[None], 3, axis=0)
    assert np.array_equal(read_image(save(tmp_path / "gray.png", GRAY)).numpy(), gray)
    black_white = read_image(save(tmp_path / "bits.png", Image.fromarray(GRAY > 50).convert("1")))
    assert np.array_equal(black_white.numpy(), 255 * (gray > 50))
    alpha = np.dstack([RGB, np.full((5, 7), 9, np.uint8)])
    for name, pixels in (("rgba.png", alpha), ("la.png", alpha[:, :, [0, 3]])):
        expected = pixels[:, :, [0, 0, 0]] if pixels.shape[2] == 2 else RGB
        assert np.array_equal(read_image(save(tmp_path / name, pixels)).permute(1, 2, 0).numpy(), expected)
    palette = Image.fromarray(GRAY % 3, mode="P")
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
    palette.putpalette(colours.ravel().tolist())
    read = read_image(save(tmp_path / "palette.png", palette, transparency=b"\x00\x80"))
    assert np.array_equal(read.permute(1, 2, 0).numpy(), colours[GRAY % 3])


def test_cmyk_becomes_rgb(tmp_path, save):
    red = np.zeros((8, 8, 4), np.uint8)
    red[..., 1:3] = 255  # no cyan, full magenta and yellow, no black
    for name in ("a.tif", "a.jpg"):
        image = read_image(save(tmp_path / name, Image.fromarray(red, mode="CMYK")))
        assert image[0].min() > 245 and image[1:].max() < 10


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_scaled_not_clipped(tmp_path, save, name):
    values = np.array([[0, 257, 25700, 65535, 300, 200]], np.uint16)
    assert read_image(save(tmp_path / name, values))[:, 0].tolist() == [[0, 1, 100, 255, 1, 1]] * 3


def test_images_without_a_range_are_refused(tmp_path, save):
    for name, values in (("float.tif", np.ones((2, 2), np.float32)), ("int.tif", np.full((2, 2), 70000, np.int32))):
        with pytest.raises(ValueError, match=rf"{name}: expected an image with 8 or 16 bits per channel"):
            read_image(save(tmp_path / name, values))


def test_exif_orientation_is_not_applied(tmp_path, save):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(save(tmp_path / "a.jpg", RGB, exif=exif)).shape == (3, 5, 7)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_labels_keep_their_ids(tmp_path, save, name):
    read = read_labels(save(tmp_path / name, GRAY))
    assert read.dtype == torch.uint8 and np.array_equal(read.numpy(), GRAY)
    wide = read_labels(save(tmp_path / f"wide_{name}", GRAY.astype(np.uint16) * 300))
    assert wide.dtype == torch.int32 and np.array_equal(wide.numpy(), GRAY.astype(int) * 300)


def test_palette_labels_are_their_indices(tmp_path, save):
    labels = Image.fromarray(GRAY % 5, mode="P")
    labels.putpalette([200, 100, 50, 0, 0, 0, 9, 9, 9, 1, 2, 3, 4, 5, 6])
    for options in ({}, {"bits": 4}, {"transparency": 0}):
        assert np.array_equal(read_labels(save(tmp_path / "a.png", labels, **options)).numpy(), GRAY % 5)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_labels_of_few_bits_are_not_stretched(tmp_path, bits):
    ids = GRAY & (2**bits - 1)
    (tmp_path / "a.png").write_bytes(gray_png(ids, bits))
    assert np.array_equal(read_labels(tmp_path / "a.png").numpy(), ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "F"])
def test_labels_with_colours_are_refused(tmp_path, save, mode):
    path = save(
        tmp_path / "labels.tif", Image.fromarray(RGB).convert("L" if mode in ("LA", "F") else "RGB").convert(mode)
    )
    with pytest.raises(ValueError, match=rf"labels\.tif: .*one channel of class ids, got mode {mode}"):
        read_labels(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("read", [read_image, read_labels])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.6])
def test_broken_files_are_named(tmp_path, save, read, name, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = save(tmp_path / name, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ValueError, match=rf"{name}: cannot be read as an image"):
        read(path)


def test_missing_and_foreign_files_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read as an image"):
            read_image(tmp_path / name)


def test_decompression_bombs_are_refused(tmp_path, save, monkeypatch):
    path = save(tmp_path / "bomb.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    for read in (read_image, read_labels):
        with pytest.raises(ValueError, match=r"bomb\.png: .*1600 pixels"):
            read(path)
