# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for its page: scores of every image, and pictures of the even and of the worst and best ones."""

import numpy as np
import pytest
import torch

from dealias.data import evaluation_transform
from dealias.report.choice import Choice, choose_images
from dealias.report.image_scores import IMAGE_METRICS, read_image_scores
from dealias.report.pictures import load_pictures
from dealias.train import InferenceSettings, LastCheckpoint, SegmentationData, SegmentationTask, predict_logits
from dealias.train.pictures import RunPictures, predict_pictures

CHOICE = Choice({2: ("evenly spaced",), 0: ("lowest mIoU", "highest FErr")}, ("block2", "block0"), "two of three")


@pytest.fixture
def data(blocks):
    """Images of two sizes, normalised as usual."""
    return SegmentationData(val=blocks(9), test=blocks(5, size=(40, 50)), workers=0)


def test_pictures_show_the_data_and_the_predictions(make_network, data):
    network, dataset = make_network().eval(), data.datasets["val"]
    pictures = predict_pictures(network, data, "val", CHOICE, "cpu")
    assert (pictures.classes, pictures.palette, pictures.ignore_index) == (dataset.classes, dataset.palette, 255)
    assert pictures.rule == "two of three"
    for found, index in zip(pictures.samples, (2, 0), strict=True):
        sample = dataset[index]
        assert (found.name, found.why) == (sample["name"], CHOICE.reasons[index])
        np.testing.assert_array_equal(found.image, sample["image"].permute(1, 2, 0), "exact, in spite of normalisation")
        np.testing.assert_array_equal(found.truth, sample["mask"])
        logits = network(evaluation_transform()(sample)["image"][None])
        np.testing.assert_array_equal(found.prediction, logits[0].argmax(0))
    assert len(np.unique(pictures.samples[0].prediction)) > 1


def test_resized_data_are_shown_as_the_network_sees_them(make_network, data):
    data.eval_transform = evaluation_transform(size=(48, 64))
    found = predict_pictures(make_network().eval(), data, "val", CHOICE, "cpu").samples[0]
    assert found.image.shape == (48, 64, 3) and found.truth.shape == found.prediction.shape == (48, 64)
    sample = data.datasets["val"][2]
    large = torch.nn.functional.interpolate(sample["image"][None].float(), (48, 64), mode="bilinear", antialias=True)
    assert np.abs(found.image - large[0].permute(1, 2, 0).numpy()).max() <= 1.01, "rounded twice"


def test_images_of_another_size_than_their_truth_are_shown_at_its_size(make_network, data):
    data.eval_transform = evaluation_transform(base_size=(48, 48))
    network = make_network().eval()
    found, sample = predict_pictures(network, data, "val", CHOICE, "cpu").samples[0], data.datasets["val"][2]
    assert found.image.shape == (32, 32, 3)
    np.testing.assert_array_equal(found.truth, sample["mask"])
    difference = found.image.astype(float) - sample["image"].permute(1, 2, 0).numpy()
    assert 1 < np.abs(difference).mean() < 30 and abs(difference.mean()) < 2, "blurred, in its place"
    logits = network(data.eval_transform(sample)["image"][None])
    logits = torch.nn.functional.interpolate(logits, (32, 32), mode="bilinear", align_corners=False)
    np.testing.assert_array_equal(found.prediction, logits[0].argmax(0))


def test_ignored_ids_that_are_no_bytes_become_one(make_network, data, blocks):
    class Negative(blocks):
        ignore_index = -1

        def __getitem__(self, index):
            sample = super().__getitem__(index)
            mask = sample["mask"].to(torch.int16)
            return {**sample, "mask": torch.where(mask == 255, -1, mask).as_subclass(type(sample["mask"]))}

    data.datasets["val"] = Negative(9)
    pictures = predict_pictures(make_network().eval(), data, "val", CHOICE, "cpu")
    assert pictures.ignore_index == 255 and (pictures.samples[0].truth[:2] == 255).all()


def test_another_image_in_its_place_is_refused(make_network, data):
    wrong = Choice(CHOICE.reasons, ("block2", "block7"), "")
    with pytest.raises(ValueError, match=r"image 0 of data\.val is 'block0', but 'block7' was scored in its place"):
        predict_pictures(make_network(), data, "val", wrong, "cpu")
    with pytest.raises(ValueError, match=r"data\.predict is not given"):
        predict_pictures(make_network(), data, "predict", CHOICE, "cpu")


@pytest.mark.parametrize(("command", "split", "length"), [("validate", "val", 9), ("test", "test", 5)])
def test_a_run_leaves_scores_and_pictures(make_network, data, make_trainer, tmp_path, command, split, length):
    inference = InferenceSettings(window=32, stride=16, flip=True)
    task = SegmentationTask(make_network(), inference=inference)
    trainer = make_trainer(callbacks=[RunPictures(tmp_path, 2)])
    getattr(trainer, command)(task, data, verbose=False)
    scores = read_image_scores(tmp_path / f"images_{split}.csv")
    assert list(scores) == [f"block{number}" for number in range(length)]
    for (_, expected), found in zip(task.image_scores[split], scores.values(), strict=True):
        assert list(found.values()) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    pictures, choice = load_pictures(tmp_path / "pictures"), choose_images([scores], 2, "any")
    assert [(sample.name, sample.why) for sample in pictures.samples] == list(
        zip(choice.names, choice.reasons.values(), strict=True)
    )
    assert f"2 of {length} {'validation' if split == 'val' else 'test'} images" in pictures.rule
    image = data.eval_transform(data.datasets[split][int(pictures.samples[0].name[5:])])["image"][None]
    logits = predict_logits(task.network.eval(), image, window=32, stride=16, flip=True)
    np.testing.assert_array_equal(pictures.samples[0].prediction, logits[0].argmax(0))


def test_a_training_leaves_those_of_its_last_validation(make_task, make_data, make_trainer, tmp_path):
    task, data = make_task(), make_data(val=6)
    make_trainer(max_epochs=2, num_sanity_val_steps=2, callbacks=[RunPictures(tmp_path, 2)]).fit(task, data)
    rows = read_image_scores(tmp_path / "images_val.csv")
    assert [list(of.values()) for of in rows.values()] == [
        pytest.approx(scores, abs=1e-6, nan_ok=True) for _, scores in task.image_scores["val"]
    ]
    pictures, task = load_pictures(tmp_path / "pictures"), task.eval()
    for sample in pictures.samples:
        image = data.eval_transform(data.datasets["val"][int(sample.name[5:])])["image"][None]
        np.testing.assert_array_equal(sample.prediction, task(image)[0].argmax(0))


def test_a_run_that_ended_after_its_last_validation_gets_its_pictures_when_resumed(
    make_task, make_data, make_trainer, tmp_path
):
    path = tmp_path / "last.ckpt"

    def train(checkpoint):
        callbacks = [RunPictures(tmp_path, 2), LastCheckpoint(path)]
        trainer = make_trainer(max_epochs=1, callbacks=callbacks)
        trainer.fit(make_task(), make_data(val=6), ckpt_path=checkpoint)

    train(None)
    expected = {file.name: file.read_bytes() for file in (tmp_path / "pictures").iterdir()}
    for file in (tmp_path / "pictures").iterdir():
        file.unlink()
    train(path)
    assert "pictures.json" in expected
    assert {file.name: file.read_bytes() for file in (tmp_path / "pictures").iterdir()} == expected


def test_there_may_be_none(make_task, make_data, make_trainer, tmp_path):
    make_trainer(max_epochs=1, callbacks=[RunPictures(tmp_path, 0)]).fit(make_task(), make_data())
    assert {path.name for path in tmp_path.iterdir()} == {"images_val.csv"}
    make_trainer(max_steps=1, callbacks=[RunPictures(tmp_path / "b", 3)]).fit(make_task(), make_data(val=0))
    assert not (tmp_path / "b").exists()
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        RunPictures(tmp_path, -1)


def test_an_undefined_score_is_left_empty(make_task, data, make_trainer, tmp_path, blocks):
    data.datasets["val"] = blocks(2, ignored_rows=32)
    make_trainer(callbacks=[RunPictures(tmp_path, 1)]).validate(make_task(), data, verbose=False)
    assert (tmp_path / "images_val.csv").read_text().splitlines()[1] == "block0" + "," * len(IMAGE_METRICS)
    assert len(load_pictures(tmp_path / "pictures").samples) == 1
