# SPDX-License-Identifier: Apache-2.0
"""Small good files of every kind that is read, from which damaged ones are made."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

HEIGHT, WIDTH = 33, 40
CLASSES = ("ground", "pole", "sign & co")


def colours(number: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))


def labels(number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).integers(0, len(CLASSES), (HEIGHT, WIDTH), np.uint8)


def write_images(folder: Path) -> list[Path]:
    """Every format that is read as an image, in several modes and compressions."""
    rgb, gray = colours(), Image.fromarray(labels() * 80)
    deep = Image.fromarray(labels().astype(np.uint16) * 20000)
    palette = rgb.quantize(16)
    palette.info["transparency"] = 3
    written: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgb.png": (rgb, {}),
        "gray.png": (gray, {}),
        "deep.png": (deep, {}),
        "palette.png": (palette, {"bits": 4}),
        "alpha.png": (rgb.convert("RGBA"), {}),
        "bits.png": (gray.convert("1"), {}),
        "text.png": (rgb, {"icc_profile": b"x" * 200, "dpi": (72, 72)}),
        "baseline.jpg": (rgb, {}),
        "progressive.jpg": (rgb, {"progressive": True, "exif": _exif()}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "lossy.webp": (rgb, {}),
        "lossless.webp": (rgb.convert("RGBA"), {"lossless": True}),
        "raw.tif": (rgb, {}),
        **{f"{name}.tif": (rgb, {"compression": name}) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")},
        "deep.tif": (deep, {}),
        "plain.bmp": (rgb, {}),
        "several.gif": (rgb.quantize(8), {"save_all": True, "append_images": [colours(1).quantize(8)]}),
        "plain.ppm": (rgb, {}),
    }
    for name, (image, options) in written.items():
        image.save(folder / name, **options)
    return [folder / name for name in written]


def write_labels(folder: Path) -> list[Path]:
    """Label maps of every depth."""
    ids = labels()
    palette = Image.fromarray(ids)
    palette.putpalette(list(range(12)))
    written = {
        "eight.png": (Image.fromarray(ids), {}),
        "palette.png": (palette, {"bits": 2}),
        "sixteen.png": (Image.fromarray(ids.astype(np.uint16)), {}),
        "one.png": (Image.fromarray(ids > 0), {}),
        "eight.tif": (Image.fromarray(ids), {"compression": "tiff_lzw"}),
        "sixteen.tif": (Image.fromarray(ids.astype(np.uint16)), {}),
    }
    for name, (image, options) in written.items():
        image.save(folder / name, **options)
    return [folder / name for name in written]


def write_instances(folder: Path) -> list[Path]:
    """Two images with polygons, run lengths in both notations, a crowd region and a box without mask."""
    (folder / "images").mkdir()
    for number in range(2):
        colours(number).save(folder / "images" / f"{number}.png")
    size = [HEIGHT, WIDTH]
    objects = [
        {"segmentation": [[1, 1, 20, 1, 20, 20, 1.5, 20]], "area": 361.0, "iscrowd": 0},
        {"segmentation": {"size": size, "counts": [10, 5, HEIGHT * WIDTH - 15]}, "iscrowd": 1, "area": 5},
        {"segmentation": {"size": size, "counts": _compressed(size)}},
        {},
    ]
    content = {
        "info": {"year": 2026},
        "images": [{"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in range(2)],
        "categories": [{"id": i + 3, "name": name, "supercategory": "x"} for i, name in enumerate(CLASSES)],
        "annotations": [
            {"id": i + 1, "image_id": i % 2, "category_id": 3 + i % 3, "bbox": [1, 1, 19, 19.5], **found}
            for i, found in enumerate(objects)
        ],
    }
    return [_json(folder / "instances.json", content)]


def write_panoptic(folder: Path) -> list[Path]:
    """Two images with segments of things and stuff."""
    (folder / "images").mkdir()
    (folder / "panoptic").mkdir()
    annotations = []
    for number in range(2):
        colours(number).save(folder / "images" / f"{number}.jpg")
        ids = labels(number)
        Image.fromarray(np.stack([ids, 0 * ids, 0 * ids], axis=2)).save(folder / "panoptic" / f"{number}.png")
        infos = [{"id": i, "category_id": i * 10, "area": int((ids == i).sum()), "iscrowd": 0} for i in (1, 2)]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": infos})
    kinds = [{"id": 10, "name": "pole", "isthing": 1, "color": [1, 2, 3]}, {"id": 20, "name": "sky", "isthing": 0}]
    images = [{"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(2)]
    content = {"images": images, "annotations": annotations, "categories": kinds}
    return [_json(folder / "panoptic.json", content), folder / "panoptic" / "0.png"]


def write_folders(folder: Path) -> list[Path]:
    """A data set of label maps with a list and a file that describes it."""
    for name, write in (("images", colours), ("labels", lambda i: Image.fromarray(labels(i)))):
        (folder / name).mkdir()
        for number in range(2):
            write(number).save(folder / name / f"{number}.png")
    (folder / "list.txt").write_text("0.png\n1\n")
    split = {"images": "images", "labels": "labels"}
    described = {"train": split, "val": {**split, "list_file": "list.txt"}, "classes": list(CLASSES)}
    described |= {"palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "ignore_index": 255, "label_map": {0: 0, 1: 1, 2: 2}}
    (folder / "data.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    return [folder / name for name in ("data.yaml", "list.txt", "images/0.png", "labels/0.png")]


def write_options(folder: Path) -> list[Path]:
    (folder / "map.yaml").write_text("7: 0\n8: 1\n-1: 255\n")
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return [folder / "map.yaml", folder / "classes.txt"]


def write_checkpoint(path: Path) -> Path:
    """A network as a run leaves it."""
    from dealias.models import create_model

    options = {"decoder_channels": 8, "fusion": "carafe", "encoder_options": {"channels": [8] * 4, "stem_width": 8}}
    network = create_model("fpn", "test_resnet", classes=len(CLASSES), **options)
    data = {"classes": CLASSES, "palette": ((1, 2, 3), (4, 5, 6), (7, 8, 9)), "ignore_index": 255}
    stored = {
        "dealias": {"version": "0.1.0", "task": "segmentation", "network": network.config, "scores": {"mIoU": 0.5}},
        "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
        "global_step": 0,
        "epoch": 0,
        "SegmentationData": {**data, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)},
    }
    torch.save(stored, path)
    return path


def write_run(folder: Path, gain: float = 0.0) -> list[Path]:
    """The directory of a finished run."""
    from dealias.report.image_scores import IMAGE_METRICS, image_scores_path, write_image_scores
    from dealias.report.outcome import METRICS
    from dealias.report.pictures import Pictures, Sample, save_pictures

    folder.mkdir(exist_ok=True, parents=True)
    scores = {**dict.fromkeys(METRICS, 0.5 + gain), "IoU": [0.9, 0.5, None]}
    results = {"command": "fit", "task": "segmentation", "band": 3, "classes": list(CLASSES), "parameters": 1000}
    results |= {"steps": 60, "seconds": 9.0, "seconds_per_step": 0.1, "scores": {"val": scores}}
    written = [_json(folder / "metrics.json", results)]
    versions = {"versions": {"dealias": "0.1.0", "torch": "2.9"}, "revision": None}
    written.append(_json(folder / "env.json", {"seed": 0, "command": "dealias fit", "device": "cpu", **versions}))
    (folder / "config.yaml").write_text("seed_everything: 0\n")
    rows = "".join(f"{step},{2 / step:.3f},\n" for step in range(1, 60, 10)) + "30,,0.4\n60,,0.6\n"
    (folder / "metrics.csv").write_text(f"step,train/loss,val/mIoU\n{rows}")
    names = [f"scene {number}" for number in range(2)]
    samples = (Sample(name, np.asarray(colours(i)), labels(i), labels(i + 9)) for i, name in enumerate(names))
    palette = ((70, 70, 70), (204, 60, 20), (240, 228, 66))
    save_pictures(folder / "pictures", Pictures(CLASSES, palette, 255, "2 of 2 images", tuple(samples)))
    write_image_scores(image_scores_path(folder, "val"), [(name, [0.5] * len(IMAGE_METRICS)) for name in names])
    pictures = [folder / "pictures" / name for name in ("pictures.json", "000_truth.png", "000_image.png")]
    return [*written, folder / "metrics.csv", folder / "images_val.csv", *pictures]


def write_comparison(folder: Path) -> list[Path]:
    """The directory of a finished comparison of two variants with two seeds."""
    from dealias.report.outcome import write_outcome

    runs = {name: [folder / "runs" / f"{name}-seed{seed}" for seed in range(2)] for name in ("bilinear", "carafe")}
    for name, folders in runs.items():
        for run in folders:
            write_run(run, gain=0.1 * (name == "carafe"))
    settings = {"arch": "fpn", "encoder": "resnet10t", "data": "scenes", "steps": 60, "budget": None}
    write_outcome(folder, runs, {"settings": settings, "environment": {"device": "cpu", "versions": {"torch": "2.9"}}})
    return [folder / "comparison.json"]


def write_evaluation(folder: Path) -> list[Path]:
    """What ``dealias evaluate`` writes."""
    for name, shift in (("truth", 0), ("prediction", 1)):
        (folder / name).mkdir()
        for number in range(2):
            Image.fromarray(np.roll(labels(number), shift, axis=1)).save(folder / name / f"{number}.png")
    command = ["evaluate", folder / "prediction", folder / "truth", "--classes", ",".join(CLASSES), "--workers", 1]
    run_command(*command, "--out", folder / "out")
    return [folder / "out" / "evaluation.json", folder / "truth" / "0.png"]


def write_analysis(folder: Path, file: str, *kind: str) -> list[Path]:
    """What ``dealias analyze`` writes."""
    checkpoint = write_checkpoint(folder / "last.ckpt")
    arguments = ["--checkpoint", checkpoint, "--data", "scenes:1", "--limit", 1, "--size", 64]
    run_command("analyze", *kind, *arguments, "--out", folder / "out", "--device", "cpu")
    pictures = sorted(path for path in (folder / "out").rglob("*") if path.suffix in (".png", ".npy", ".jpg"))
    return [folder / "out" / file, *pictures[:3]]


def run_command(*arguments: Any) -> None:
    from dealias.cli import main

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main([str(argument) for argument in arguments])
    if code:
        raise RuntimeError(errors.getvalue())


def _compressed(size: list[int]) -> str:
    from pycocotools import mask

    inside = np.zeros(size, np.uint8, order="F")
    inside[5:20, 6:30] = 1
    return mask.encode(inside)["counts"].decode()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path
