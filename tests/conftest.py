# SPDX-License-Identifier: Apache-2.0
"""Every test starts from the same random state; tiny data sets in the folders of published ones; checkpoints."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

Size = tuple[int, int]

WHOLE_GRAPHS = (2, 14)
"""The first version of torch that traces everything here as one graph, with sizes left open."""

_OF_GRAPHS = re.compile("compile|export|graph|inductor|interpreter|promises_of_a_module|public_check")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Older versions of torch compute and train; of what they compile and export nothing is promised."""
    version = tuple(int(number) for number in torch.__version__.split(".")[:2])
    if version < WHOLE_GRAPHS:
        skip = pytest.mark.skip(reason=f"whole graphs need torch {'.'.join(map(str, WHOLE_GRAPHS))}")
        for item in items:
            if _OF_GRAPHS.search(item.name):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def write_dataset() -> Callable[..., Path]:
    """``write_dataset(kind, root, size=(64, 96))``: the data set's folder, ``root``; for the kinds see the writers."""
    writers = {"cityscapes": _cityscapes, "ade20k": _ade20k, "voc2012": _voc2012, "coco": _coco, "lis": _lis}

    def write(kind: str, root: Path, size: Size = (64, 96)) -> Path:
        writers[kind](root, size)
        return root

    return write


@pytest.fixture(scope="session")
def untrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``untrained_checkpoint(**options)``: an FPN for the classes of the scenes, stored as a trained one is."""
    from dealias import __version__
    from dealias.data import SyntheticScenes
    from dealias.models import create_model

    def write(**options: str) -> Path:
        torch.manual_seed(0)
        network = create_model("fpn", encoder_name="test_resnet", classes=9, decoder_channels=8, **options)
        data = {"classes": SyntheticScenes.classes, "palette": SyntheticScenes.palette, "ignore_index": 255}
        stored = {
            "dealias": {"version": __version__, "network": network.config, "scores": {}},
            "state_dict": {f"network.{key}": value for key, value in network.state_dict().items()},
            "global_step": 0,
            "epoch": 0,
            "SegmentationData": {**data, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)},
        }
        path = tmp_path_factory.mktemp("run") / "last.ckpt"
        torch.save(stored, path)
        return path

    return write


def _cityscapes(root: Path, size: Size) -> None:
    names = {"train": ("aachen/aachen_0", "aachen/aachen_1", "bochum/bochum_0"), "val": ("lindau/lindau_0",)}
    for split, keys in {**names, "test": ("berlin/berlin_0",)}.items():
        for i, key in enumerate(keys):
            _save(root / "leftImg8bit" / split / f"{key}_leftImg8bit.png", _image(size, i))
            labels = root / "gtFine" / split / key
            _save(labels.with_name(f"{labels.name}_gtFine_labelIds.png"), _blocks(range(34), size, i))
            _save(labels.with_name(f"{labels.name}_gtFine_instanceIds.png"), np.zeros(size, np.uint16))
            _save(labels.with_name(f"{labels.name}_gtFine_color.png"), np.zeros((*size, 4), np.uint8))


def _ade20k(root: Path, size: Size) -> None:
    for split, name, count in (("training", "ADE_train_0000000", 3), ("validation", "ADE_val_0000000", 1)):
        for i in range(count):
            _save(root / "images" / split / f"{name}{i}.jpg", _image(size, i))
            _save(root / "annotations" / split / f"{name}{i}.png", _blocks(range(151), size, i))


def _voc2012(root: Path, size: Size) -> None:
    """With label maps of all names in ``SegmentationClassAug``, one of which is not in the lists of the original."""
    lists = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}
    lists |= {"trainval": lists["train"] + lists["val"], "trainaug": [*lists["train"], "2008_000002"]}
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, names in lists.items():
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    for i, name in enumerate([*lists["trainval"], "2008_000002", "2012_000001"]):
        _save(root / "JPEGImages" / f"{name}.jpg", _image(size, i))
        labels = _blocks([*range(21), 255], size, i)
        if name < "2008":
            picture = Image.fromarray(labels, mode="P")
            picture.putpalette([(7 * value) % 256 for value in range(3 * 256)])
            _save(root / "SegmentationClass" / f"{name}.png", picture)
        if name < "2012":
            _save(root / "SegmentationClassAug" / f"{name}.png", labels)


def _coco(root: Path, size: Size) -> None:
    """Three images to train on and one to validate on, with objects of the first classes, or segments of all pixels."""
    things = [{"id": i + 1, "name": f"thing{i}", "isthing": 1} for i in range(80)]
    stuff = [{"id": i + 101, "name": f"stuff{i}", "isthing": 0} for i in range(53)]
    for split, count in (("train2017", 3), ("val2017", 1)):
        files = [f"{split}/{i}.jpg" for i in range(count)]
        _write_instances(root, root / "annotations" / f"instances_{split}.json", files, things, size)
        images = [{"id": i, "file_name": f"{i}.jpg", "height": size[0], "width": size[1]} for i in range(count)]
        ids = np.repeat([[1], [2]], [size[0] // 2, size[0] - size[0] // 2], axis=0).repeat(size[1], 1).astype(np.uint8)
        infos = [{"id": 1, "category_id": 1, "iscrowd": 0}, {"id": 2, "category_id": 101, "iscrowd": 0}]
        for i in range(count):
            _save(root / "annotations" / f"panoptic_{split}" / f"{i}.png", np.stack([ids, 0 * ids, 0 * ids], axis=2))
        segments = [{"image_id": i, "file_name": f"{i}.png", "segments_info": infos} for i in range(count)]
        content = {"images": images, "annotations": segments, "categories": things + stuff}
        (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))


def _lis(root: Path, size: Size) -> None:
    categories = [{"id": i + 1, "name": f"thing{i}"} for i in range(8)]
    for light, ending, name, number in (("RGB-normal", "png", "png_{}", 1), ("RGB-dark", "JPG", "JPG_{}+1", 2)):
        for split in ("train", "test"):
            files = [f"./JPEGImages/{number + 2 * i}.{ending}" for i in range(2)]
            annotations = root / "annotations" / f"lis_coco_{name.format(split)}.json"
            _write_instances(root / light, annotations, files, categories, size)


def _write_instances(images: Path, annotations: Path, files: Sequence[str], categories: list, size: Size) -> None:
    """Images, and a file of annotations by which each has one square object; names are relative to the last folder."""
    entries, objects = [], []
    for i, file in enumerate(files):
        _save(images / file, _image(size, i))
        name = file if file.startswith(".") else Path(file).name
        entries.append({"id": i, "file_name": name, "height": size[0], "width": size[1]})
        square = {"bbox": [8, 8, 24, 24], "segmentation": [[8, 8, 32, 8, 32, 32, 8, 32]], "area": 576, "iscrowd": 0}
        objects.append({"id": i + 1, "image_id": i, "category_id": 1 + i, **square})
    annotations.parent.mkdir(parents=True, exist_ok=True)
    annotations.write_text(json.dumps({"images": entries, "annotations": objects, "categories": categories}))


def _image(size: Size, number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (*size, 3), np.uint8)


def _blocks(ids: Sequence[int], size: Size, number: int) -> np.ndarray:
    """Blocks of 8 x 8 pixels; the first row of pixels has all ids one after the other, as far as it reaches."""
    rows, columns = -(-size[0] // 8), -(-size[1] // 8)
    blocks = np.random.default_rng(number).choice(np.array(ids, np.uint8), (rows, columns))
    labels = blocks.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
    labels[0] = np.resize(np.array(ids, np.uint8), size[1])
    return labels


def _save(path: Path, pixels: np.ndarray | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(path)
