# SPDX-License-Identifier: Apache-2.0
"""Small files that would take all memory or time if they were believed; as a script, reads them all within a limit."""

import io
import json
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import seeds
import torch
from PIL import Image

SIDE = 60_000


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _png(folder: Path) -> None:
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    (folder / "rgb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def _patched(name: str, at: int, form: str, side: int = SIDE) -> Callable[[Path], None]:
    """A good image with another width and height at some place."""

    def write(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        struct.pack_into(form, content, at, side, side)
        (folder / name).write_bytes(content)

    return write


def _jpeg(folder: Path) -> None:
    content = bytearray((folder / "baseline.jpg").read_bytes())
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, SIDE, SIDE)
    (folder / "baseline.jpg").write_bytes(content)


def _tiff(folder: Path) -> None:
    content = (folder / "raw.tif").read_bytes()
    for tag, side in ((256, seeds.WIDTH), (257, seeds.HEIGHT), (278, seeds.HEIGHT)):
        for kind, form in ((3, "<HHIHxx"), (4, "<HHII")):
            content = content.replace(struct.pack(form, tag, kind, 1, side), struct.pack("<HHII", tag, 4, 1, SIDE))
    (folder / "raw.tif").write_bytes(content)


def _ppm(folder: Path) -> None:
    (folder / "plain.ppm").write_bytes(b"P6 %d %d 255\n" % (SIDE, SIDE) + bytes(1000))


def _text(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: _write(folder / name, text.encode())


def _laughs(name: str, merge: bool = False) -> Callable[[Path], None]:
    lines = ["a: &a {x: 1}" if merge else "a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for new, old in zip("bcdefghij", "abcdefghi", strict=True):
        aliases = ", ".join([f"*{old}"] * 10)
        lines.append(f"{new}: &{new} {{<<: [{aliases}]}}" if merge else f"{new}: &{new} [{aliases}]")
    return _text(name, "\n".join(lines))


def _object(**changes: object) -> Callable[[Path], None]:
    """A good annotation file with changes to its first object."""

    def write(folder: Path) -> None:
        content = json.loads((folder / "instances.json").read_text())
        content["annotations"][0].update(changes)
        (folder / "instances.json").write_text(json.dumps(content))

    return write


def _run_lengths(counts: object) -> Callable[[Path], None]:
    return _object(segmentation={"size": [seeds.HEIGHT, seeds.WIDTH], "counts": counts})


def _many_objects(folder: Path) -> None:
    content = json.loads((folder / "instances.json").read_text())
    Image.new("RGB", (4000, 4000)).save(folder / "images" / "0.png")
    content["images"][0].update(height=4000, width=4000)
    box = {"image_id": 0, "category_id": 3, "bbox": [0, 0, 1, 1]}
    content["annotations"] = [{"id": number, **box} for number in range(1000)]
    (folder / "instances.json").write_text(json.dumps(content))


def _huge_image(folder: Path) -> None:
    content = json.loads((folder / "instances.json").read_text())
    content["images"][0].update(height=2**31, width=40)
    (folder / "instances.json").write_text(json.dumps(content))


def _segments_twice(folder: Path) -> None:
    content = json.loads((folder / "panoptic.json").read_text())
    infos = content["annotations"][0]["segments_info"]
    infos += [infos[0]] * 100_000
    (folder / "panoptic.json").write_text(json.dumps(content))


def _network(**changes: object) -> Callable[[Path], None]:
    """A checkpoint whose network has other arguments than its weights are for."""

    def write(folder: Path) -> None:
        stored = torch.load(folder / "last.ckpt", weights_only=True)
        stored["dealias"]["network"].update(changes)
        torch.save(stored, folder / "last.ckpt")

    return write


def _compressed(folder: Path) -> None:
    """Half a gigabyte of zeros that takes half a megabyte."""
    with zipfile.ZipFile(folder / "last.ckpt") as old:
        contents = {name: old.read(name) for name in old.namelist()}
    largest = max(contents, key=lambda name: len(contents[name]))
    with zipfile.ZipFile(folder / "last.ckpt", "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in contents.items():
            new.writestr(name, bytes(2**29) if name == largest else content)


def _overlapping(folder: Path) -> None:
    """Many contents that all lie in one place of the file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(2**20))
        first = archive.infolist()[0]
        archive.filelist += [first] * 3000
    (folder / "last.ckpt").write_bytes(file.getvalue())


def _old_format(folder: Path) -> None:
    """A file of torch before 1.6 that has a storage of 12345 numbers, and says that it has 2**38."""
    file = io.BytesIO()
    torch.save({"conv1.weight": torch.zeros(12345)}, file, _use_new_zipfile_serialization=False)
    small, large = b"M" + (12345).to_bytes(2, "little"), b"\x8a\x05" + (2**38).to_bytes(5, "little")
    assert small in file.getvalue()
    (folder / "old.pth").write_bytes(file.getvalue().replace(small, large))


def _safetensors(header: bytes, length: int | None = None) -> Callable[[Path], None]:
    return lambda folder: _write(folder / "weights.safetensors", struct.pack("<Q", length or len(header)) + header)


_ZIGZAG = [value for number in range(100_000) for value in (0 if number % 2 else 39, number % 33)]

BOMBS: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "png": ("images", "rgb.png", _png),
    "gif": ("images", "several.gif", _patched("several.gif", 6, "<HH")),
    "bmp": ("images", "plain.bmp", _patched("plain.bmp", 18, "<II")),
    "webp": ("images", "lossy.webp", _patched("lossy.webp", 26, "<HH", 2**14 - 1)),
    "jpeg": ("images", "baseline.jpg", _jpeg),
    "tiff": ("images", "raw.tif", _tiff),
    "ppm": ("images", "plain.ppm", _ppm),
    "nested json": ("instances", "instances.json", _text("instances.json", "[" * 10**6)),
    "number of a million digits": ("instances", "instances.json", _text("instances.json", '{"a": %s}' % ("1" * 10**6))),
    "nested report": ("report-run", "run/metrics.json", _text("run/metrics.json", '{"a":' * 10**5)),
    "runs that add up beyond 64 bits": ("instances", "instances.json", _run_lengths([2**62] * 4 + [33 * 40])),
    "run of a terabyte": ("instances", "instances.json", _run_lengths([0, 2**40])),
    "run of a million digits": ("instances", "instances.json", _run_lengths("o" * 10**6 + "0")),
    "corner far away": ("instances", "instances.json", _object(segmentation=[[0, 0, 4e8, 0, 4e8, 4e8]])),
    "corner at infinity": ("instances", "instances.json", _object(segmentation=[[0, 0, 1e308, 0, -1e308, 1]])),
    "outline without end": ("instances", "instances.json", _object(segmentation=[_ZIGZAG * 3])),
    "masks of gigabytes": ("instances", "instances.json", _many_objects),
    "mask of an image of gigabytes": ("check-instances", "instances.json", _huge_image),
    "segments again and again": ("panoptic", "panoptic.json", _segments_twice),
    "laughs": ("folders", "data.yaml", _laughs("data.yaml")),
    "laughs of a configuration": ("config", "config.yaml", _laughs("config.yaml")),
    "merged laughs": ("options", "map.yaml", _laughs("map.yaml", merge=True)),
    "nested yaml": ("options", "map.yaml", _text("map.yaml", "[" * 10**5)),
    "number in base 60": ("options", "map.yaml", _text("map.yaml", "1" + ":1" * 10**5)),
    "compressed checkpoint": ("checkpoint", "last.ckpt", _compressed),
    "overlapping checkpoint": ("checkpoint", "last.ckpt", _overlapping),
    "billions of classes": ("checkpoint", "last.ckpt", _network(classes=10**10)),
    "billions of channels": ("checkpoint", "last.ckpt", _network(decoder_channels=10**6)),
    "millions of layers": ("checkpoint", "last.ckpt", _network(encoder_options={"layers": [10**7] * 4})),
    "wide stem": ("checkpoint", "last.ckpt", _network(encoder_options={"channels": [10**5] * 4, "stem_width": 8})),
    "storage of a terabyte": ("weights", "old.pth", _old_format),
    "header of an exabyte": ("weights", "weights.safetensors", _safetensors(b"{}", 2**60)),
    "tensor of an exabyte": (
        "weights",
        "weights.safetensors",
        _safetensors(b'{"a":{"dtype":"F32","shape":[1073741824,1073741824],"data_offsets":[0,4]}}'),
    ),
}
"""The reader, the file to read, and what writes it over good ones."""


def main() -> None:
    """Read every bomb with at most 1 GiB more than before, and say what came of it and what it took."""
    import resource

    from readers import open_target
    from sweep import LIMIT_BYTES

    with tempfile.TemporaryDirectory() as folder:
        targets = {}
        for reader in dict.fromkeys(reader for reader, _, _ in BOMBS.values()):
            (Path(folder) / reader).mkdir()
            targets[reader] = open_target(reader, Path(folder) / reader)
            found = {targets[reader].read(file) for file in targets[reader].files}
            assert found == {"good"}, (reader, found)
        reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (reserved + LIMIT_BYTES,) * 2)
        for name, (reader, file, write) in BOMBS.items():
            target, before = targets[reader], {path: path.read_bytes() for path in _files(targets[reader].folder)}
            write(target.folder)
            begun = time.perf_counter()
            result = {"bomb": name, "result": target.read(target.folder / file)}
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            line = {**result, "seconds": round(time.perf_counter() - begun, 2), "kib": memory}
            sys.stdout.write(f"{json.dumps(line)}\n")
            sys.stdout.flush()
            for path, content in before.items():
                path.write_bytes(content)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


if __name__ == "__main__":
    main()
