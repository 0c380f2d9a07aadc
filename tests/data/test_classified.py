# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.datasets import ImageFolder

from dealias.data import (
    ClassFolders,
    SeededSamples,
    TextureFrequencies,
    classification_evaluation_transform,
    classification_training_transform,
    collate_classified,
)

UNCHANGED = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


@pytest.fixture
def root(tmp_path):
    """Three classes of two images each, one below a sub-folder."""
    for label, name in enumerate(("ant", "bee", "cat")):
        for number, file in enumerate(("b.png", "deep/a.jpg")):
            path = tmp_path / "data" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((40 + number, 50, 3), 60 * label + 20 * number, np.uint8)
            Image.fromarray(pixels).save(path, quality=100)
    (tmp_path / "data" / "ant" / "notes.txt").write_text("no image")
    return tmp_path / "data"


def test_folders_are_those_of_image_folder(root):
    found, expected = ClassFolders(root), ImageFolder(str(root))
    assert list(found.classes) == expected.classes == ["ant", "bee", "cat"]
    assert [(str(path), label) for path, label in found.files] == expected.samples
    for index, (image, label) in enumerate(expected):
        sample = found[index]
        assert sample["label"] == label
        assert np.array_equal(sample["image"].permute(1, 2, 0).numpy(), np.asarray(image))
    assert [found[index]["name"] for index in (0, 3)] == ["ant/b.png", "bee/deep/a.jpg"]


def test_unusable_folders_are_named(root, tmp_path):
    with pytest.raises(ValueError, match=r"missing: no such folder"):
        ClassFolders(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected one folder of images per class, found no folder"):
        ClassFolders(tmp_path / "empty")
    (root / "dog").mkdir()
    (root / "eel").mkdir()
    (root / "eel" / "a.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"data: classes without images \(\.png.*\): dog, eel"):
        ClassFolders(root)


def test_an_unreadable_image_is_named(root):
    (root / "bee" / "b.png").write_bytes(b"no image")
    folders = ClassFolders(root)
    with pytest.raises(ValueError, match=r"bee/b\.png: cannot be read as an image"):
        folders[2]


def test_batches():
    textures = TextureFrequencies(3, (32, 40))
    batch = collate_classified([textures[i] for i in range(3)])
    assert batch["image"].shape == (3, 3, 32, 40) and type(batch["image"]) is torch.Tensor
    assert batch["label"].tolist() == [0, 1, 2] and batch["label"].dtype == torch.int64
    other = TextureFrequencies(1, (33, 40), seed=1)
    with pytest.raises(ValueError, match=r"texture_0_000000 \(32, 40\), texture_1_000000 \(33, 40\)"):
        collate_classified([textures[0], other[0]])


def test_without_a_size_training_only_flips():
    textures = TextureFrequencies(1)
    image = textures[0]["image"].as_subclass(torch.Tensor).float() / 255
    for flip, expected in ((0.0, image), (1.0, image.flip(-1))):
        found = classification_training_transform(flip=flip, **UNCHANGED)(textures[0])
        torch.testing.assert_close(found["image"].as_subclass(torch.Tensor), expected)
        assert found["label"] == 0


def test_training_crops_are_seeded_and_of_one_size():
    textures = TextureFrequencies(4)
    seeded = SeededSamples(textures, classification_training_transform((32, 40)), seed=1)
    first, again, later = (seeded[key]["image"] for key in ((2, 0), (2, 0), (2, 1)))
    assert first.shape == (3, 32, 40) and torch.equal(first, again) and not torch.equal(first, later)


def test_evaluation_takes_the_middle():
    rows = torch.arange(64, dtype=torch.uint8)[None, :, None].expand(3, 64, 96)
    sample = {"image": tv_tensors.Image(rows), "label": 1, "name": "a"}
    found = classification_evaluation_transform(32, crop_share=0.5, **UNCHANGED)(sample)["image"]
    assert found.shape == (3, 32, 32)
    expected = torch.arange(16, 48) / 255
    torch.testing.assert_close(found[0, :, 0].as_subclass(torch.Tensor), expected)
    assert classification_evaluation_transform()(sample)["image"].shape == (3, 64, 96)


@pytest.mark.parametrize(
    ("transform", "arguments", "message"),
    [
        (classification_training_transform, {"crop_size": 32, "area": (0.5, 1.5)}, "area must be"),
        (classification_training_transform, {"std": (1.0, 0.0, 1.0)}, "std positive"),
        (classification_evaluation_transform, {"crop_size": 32, "crop_share": 0.0}, "crop_share must be"),
        (classification_evaluation_transform, {"crop_size": 0}, "crop_size"),
    ],
)
def test_wrong_arguments_are_refused(transform, arguments, message):
    with pytest.raises(ValueError, match=message):
        transform(**arguments)
