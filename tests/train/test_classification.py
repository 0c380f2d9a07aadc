# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import tv_tensors

from dealias.data import classification_evaluation_transform, classification_training_transform
from dealias.models import ClassificationModel, create_classifier
from dealias.train import (
    ClassificationData,
    ClassificationTask,
    LastCheckpoint,
    OptimizerSettings,
    ScheduleSettings,
    best_checkpoint,
    load_checkpoint,
    load_classifier,
)

UNCHANGED = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


class Colours:
    """Noisy images of one colour each, which is the class."""

    classes = ("red", "green", "blue")

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        label = index % 3
        image = 20 * torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(index)) + 60
        image[label] += 100
        return {"image": tv_tensors.Image(image.clamp(0, 255).to(torch.uint8)), "label": label, "name": f"c{index}"}


class Body(nn.Module):
    """As little of a timm classifier as is needed, with dropout."""

    def __init__(self):
        super().__init__()
        self.conv, self.dropout, self.fc = nn.Conv2d(3, 6, 3, 4), nn.Dropout(0.3), nn.Linear(6, 3)

    def forward_features(self, x):
        return self.conv(x).relu()

    def forward_head(self, x):
        return self.fc(self.dropout(x.mean((2, 3))))

    def get_classifier(self):
        return self.fc


@pytest.fixture
def make_classifier_task():
    def make(**options):
        torch.manual_seed(0)
        return ClassificationTask(ClassificationModel(Body(), 3), **options)

    return make


@pytest.fixture
def make_colours():
    def make(length=11, batch_size=3):
        return ClassificationData(
            train=Colours(length),
            val=Colours(5),
            test=Colours(6),
            predict=Colours(4),
            train_transform=classification_training_transform(**UNCHANGED),
            eval_transform=classification_evaluation_transform(**UNCHANGED),
            batch_size=batch_size,
            eval_batch_size=2,
            workers=0,
        )

    return make


def test_learns_a_tiny_set(make_classifier_task, make_colours, make_trainer):
    task, data = make_classifier_task(optimizer=OptimizerSettings(lr=0.05)), make_colours()
    make_trainer(max_steps=40).fit(task, data)
    assert task.scores["val"]["accuracy"] > 0.7  # a third by chance
    assert len(task.scores["val"]["class_accuracy"]) == 3


def test_one_step_is_that_of_plain_torch(make_classifier_task, make_colours, make_trainer):
    settings = OptimizerSettings("sgd", lr=0.1, weight_decay=0.0, momentum=0.0, factors={"classifier": 2.0})
    options = {"optimizer": settings, "schedule": ScheduleSettings("constant"), "label_smoothing": 0.2}
    task, data = make_classifier_task(**options), make_colours(batch_size=4)
    task.network.body.dropout.p = 0.0
    twin = copy.deepcopy(task.network)
    batch = next(iter(data.train_dataloader()))
    make_trainer(max_steps=1).fit(task, data)
    F.cross_entropy(twin.train()(batch["image"]), batch["label"], label_smoothing=0.2).backward()
    for (name, found), expected in zip(task.network.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(found, expected - (0.2 if "fc" in name else 0.1) * expected.grad)


def test_scores_are_those_of_the_data(make_classifier_task, make_colours, make_trainer):
    task, data = make_classifier_task(optimizer=OptimizerSettings(lr=0.02)), make_colours()
    trainer = make_trainer(max_steps=3)
    trainer.fit(task, data)
    trainer.test(task, data, verbose=False)
    network = task.network.eval()
    for stage, loader, count in (("val", data.val_dataloader(), 5), ("test", data.test_dataloader(), 6)):
        batches = list(loader)
        right = torch.cat([network(batch["image"]).argmax(1) == batch["label"] for batch in batches])
        labels = torch.cat([batch["label"] for batch in batches])
        of_classes = [right[labels == label].double().mean().item() for label in range(3)]
        assert len(right) == count and task.scores[stage]["accuracy"] == pytest.approx(right.double().mean().item())
        assert task.scores[stage]["class_accuracy"] == pytest.approx(of_classes)
        assert task.scores[stage]["mean_accuracy"] == pytest.approx(sum(of_classes) / 3)
    (first, second) = trainer.predict(task, data)
    assert first.shape == second.shape == (2, 3) and torch.allclose(first.sum(1), torch.ones(2))


def test_a_resumed_run_equals_an_uninterrupted_one(make_classifier_task, make_colours, make_trainer, tmp_path):
    class Killed(Exception):
        pass

    class KilledAfterSaving(LastCheckpoint):
        def on_train_batch_start(self, trainer, *unused):
            if trainer.global_step == 4:
                raise Killed

    def train(folder, callback):
        last = folder / "last.ckpt"
        task = make_classifier_task(optimizer=OptimizerSettings("sgd", lr=0.05))
        callbacks = [best_checkpoint(folder, "accuracy"), callback(last, every_steps=1)]
        trainer = make_trainer(max_epochs=3, callbacks=callbacks)
        trainer.fit(task, make_colours(), ckpt_path=last if last.is_file() else None)
        return task

    whole = train(tmp_path / "whole", LastCheckpoint)
    with pytest.raises(Killed):
        train(tmp_path / "killed", KilledAfterSaving)
    resumed = train(tmp_path / "killed", LastCheckpoint)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert resumed.scores == whole.scores
    best = torch.load(tmp_path / "whole" / "best.ckpt", weights_only=True)
    assert set(best["dealias"]["scores"]["val"]) == {"accuracy", "mean_accuracy", "class_accuracy"}


def test_a_checkpoint_rebuilds_the_classifier(make_colours, make_trainer, make_task, make_data, tmp_path):
    network = create_classifier("test_resnet", 3, prefilter="daf")
    trainer = make_trainer(max_steps=1)
    trainer.fit(ClassificationTask(network), make_colours())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    found, about = load_classifier(tmp_path / "a.ckpt")
    images = torch.rand(2, 3, 32, 40)
    with torch.no_grad():
        assert torch.equal(found(images), network.eval()(images)) and not found.training
    assert about["classes"] == ["red", "green", "blue"] and about["mean"] == [0.0] * 3 and about["step"] == 1
    with pytest.raises(ValueError, match=r"a\.ckpt: expected a checkpoint of the task segmentation, got one of class"):
        load_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="of the task segmentation, got one of classification"):
        make_trainer(max_steps=2).fit(make_task(), make_data(), ckpt_path=tmp_path / "a.ckpt")
    other = ClassificationTask(create_classifier("test_resnet", 3, prefilter="blur"))
    with pytest.raises(ValueError, match="prefilter 'daf' instead of 'blur'"):
        make_trainer(max_steps=2).fit(other, make_colours(), ckpt_path=tmp_path / "a.ckpt")


def test_wrong_numbers_are_refused(make_classifier_task, make_colours, make_trainer):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), got 1"):
        make_classifier_task(label_smoothing=1.0)
    with pytest.raises(ValueError, match="the network has 4 classes, the data has 3"):
        make_trainer(max_steps=1).fit(ClassificationTask(create_classifier("test_resnet", 4)), make_colours())
