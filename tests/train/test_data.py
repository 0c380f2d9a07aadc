# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from dealias.data import evaluation_transform
from dealias.train import SegmentationData
from dealias.train.loader import ResumableLoader


def epochs(loader, count, first=0):
    """What the trainer does: set the epoch, then iterate."""
    batches = []
    for epoch in range(first, first + count):
        loader.batch_sampler.sampler.set_epoch(epoch)
        batches.append(list(loader))
    return batches


def assert_same(found, expected):
    assert [batch["name"] for batch in found] == [batch["name"] for batch in expected]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a["image"], b["image"]) and torch.equal(a["mask"], b["mask"])


def test_batches_do_not_depend_on_workers_or_the_generator(make_data):
    torch.manual_seed(1)
    expected = epochs(make_data().train_dataloader(), 2)
    torch.manual_seed(2)
    found = epochs(make_data(workers=2).train_dataloader(), 2)
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b)
    assert [batch["name"] for batch in expected[0]] != [batch["name"] for batch in expected[1]]


def test_augmentation_differs_between_epochs_and_seeds(make_data):
    def first_image(seed, epoch):
        batches = epochs(make_data(seed=seed).train_dataloader(), 1, epoch)[0]
        return {name: image for batch in batches for name, image in zip(batch["name"], batch["image"], strict=True)}

    reference = first_image(0, 0)
    for other in (first_image(0, 1), first_image(1, 0)):
        common = reference.keys() & other.keys()
        assert common and all(not torch.equal(reference[name], other[name]) for name in common)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_continues_behind_the_batches_that_were_given(make_data, workers):
    first, second = epochs(make_data().train_dataloader(), 2)
    interrupted = make_data().train_dataloader()
    iterator = iter(interrupted)
    for _ in range(2):
        next(iterator)
    resumed = make_data(workers=workers).train_dataloader()
    resumed.load_state_dict(interrupted.state_dict())
    found = epochs(resumed, 2)
    assert_same(found[0], first[2:])
    assert_same(found[1], second)


def test_a_finished_epoch_is_not_continued(make_data):
    loader = make_data().train_dataloader()
    expected = epochs(loader, 2)[1]
    epochs(loader, 1)
    resumed = make_data().train_dataloader()
    resumed.load_state_dict(loader.state_dict())
    assert_same(epochs(resumed, 1, first=1)[0], expected)


def test_the_last_smaller_batch_is_left_out_of_training_only(make_data):
    data = make_data(length=7, batch_size=2)
    assert [len(batch["name"]) for batch in data.train_dataloader()] == [2, 2, 2]
    assert [batch["name"] for batch in data.val_dataloader()] == [["block0"], ["block1"], ["block2"]]


def test_too_few_samples_and_missing_sets_are_named(make_data, blocks):
    with pytest.raises(ValueError, match="8 samples per process, there are 7"):
        make_data(length=7, batch_size=8).train_dataloader()
    data = SegmentationData(val=blocks(2))
    assert not isinstance(data.val_dataloader(), ResumableLoader)
    with pytest.raises(ValueError, match=r"data\.train is not given"):
        data.train_dataloader()
    with pytest.raises(ValueError, match=r"data\.test"):
        data.test_dataloader()


def test_data_sets_must_agree_on_classes(blocks):
    other = blocks(2)
    other.classes = ("a", "b")
    with pytest.raises(ValueError, match=r"same classes.*'val': \('a', 'b'\)"):
        SegmentationData(train=blocks(2), val=other)


def test_describes_classes_and_normalisation(blocks):
    data = SegmentationData(val=blocks(1), eval_transform=evaluation_transform(mean=(0.1, 0.2, 0.3), size=16))
    found = data.describe()
    assert found["classes"] == ["a", "b", "c"] and found["palette"][1] == [0, 255, 0] and found["ignore_index"] == 255
    assert found["mean"] == pytest.approx([0.1, 0.2, 0.3]) and found["std"] == pytest.approx([0.229, 0.224, 0.225])
    plain = SegmentationData(val=blocks(1), eval_transform=v2.ToDtype({tv_tensors.Mask: torch.int64, "others": None}))
    assert plain.describe()["mean"] is None


def test_resuming_on_other_classes_is_refused(make_data, blocks):
    state = make_data().state_dict()
    other = blocks(3)
    other.classes = ("a", "b", "d")
    with pytest.raises(ValueError, match=r"\['a', 'b', 'c'\], the data has \['a', 'b', 'd'\]"):
        SegmentationData(train=other).load_state_dict(state)
