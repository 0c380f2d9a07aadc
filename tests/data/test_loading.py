# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dealias.data import EpochSampler, SeededTransform, SyntheticScenes, collate_samples, training_transform

SCENES = SyntheticScenes(10, size=(48, 48))


def draw(sample):
    """A transform that draws from every generator and shows what it drew in the name."""
    sample["name"] = (float(torch.rand(())), float(np.random.rand()), random.random())
    return sample


def load(seed=0, workers=0, batch_size=2, epoch=1):
    dataset = SeededTransform(SCENES, training_transform(40), seed)
    sampler = EpochSampler(len(dataset), seed)
    sampler.set_epoch(epoch)
    loader = DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers, collate_fn=collate_samples)
    batches = list(loader)
    return torch.cat([b["image"] for b in batches]), torch.cat([b["mask"] for b in batches]), batches


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("workers", "batch_size"), [(4, 2), (0, 5)])
def test_samples_do_not_depend_on_workers_batches_or_the_caller(workers, batch_size):
    images, masks, _ = load()
    torch.manual_seed(12345)
    again, again_masks, _ = load(workers=workers, batch_size=batch_size)
    assert torch.equal(images, again) and torch.equal(masks, again_masks)


def test_augmentation_differs_by_seed_epoch_and_index():
    def values(seed, key):
        return SeededTransform(SCENES, draw, seed)[key]["name"]

    variants = [values(0, (3, 0)), values(0, (3, 1)), values(1, (3, 0)), values(0, (4, 0)), values(1, (0, 3))]
    for generator in range(3):
        assert len({variant[generator] for variant in variants}) == len(variants)
    assert values(0, 3) == values(0, (3, 0))
    assert SeededTransform(SCENES)[3]["name"] == "scene_0_000003"


def test_generators_are_put_back_even_after_errors():
    def fail(sample):
        draw(sample)
        raise RuntimeError("broken")

    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    SeededTransform(SCENES, draw)[(2, 5)]
    with pytest.raises(RuntimeError):
        SeededTransform(SCENES, fail)[(2, 5)]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1]) and random.getstate() == states[2]


def test_attributes_are_the_data_sets():
    dataset = SeededTransform(SCENES)
    assert (dataset.classes, dataset.palette, dataset.ignore_index) == (SCENES.classes, SCENES.palette, 255)
    assert len(dataset) == 10


def test_order_is_a_permutation_fixed_by_seed_and_epoch():
    def order(seed, epoch, shuffle=True):
        sampler = EpochSampler(50, seed, shuffle)
        sampler.set_epoch(epoch)
        assert {e for _, e in sampler} == {epoch} and len(list(sampler)) == len(sampler)
        return [index for index, _ in sampler]

    assert order(1, 2) == order(1, 2) and sorted(order(1, 2)) == list(range(50))
    assert len({tuple(order(*key)) for key in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4
    assert order(0, 3, shuffle=False) == list(range(50))


def test_a_running_epoch_keeps_its_number():
    sampler = EpochSampler(4)
    keys = iter(sampler)
    sampler.set_epoch(7)
    assert {epoch for _, epoch in keys} == {0} and {epoch for _, epoch in sampler} == {7}


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("length", "world_size"), [(10, 1), (10, 2), (11, 4), (7, 3), (2, 3)])
def test_ranks_share_an_epoch(length, world_size, shuffle):
    def shards(drop_uneven):
        samplers = [EpochSampler(length, 0, shuffle, rank, world_size, drop_uneven) for rank in range(world_size)]
        assert all(len(sampler) == len(list(sampler)) for sampler in samplers)
        return [[index for index, _ in sampler] for sampler in samplers]

    assert sorted(chain(*shards(False))) == list(range(length))
    if length >= world_size:
        even = shards(True)
        assert {len(shard) for shard in even} == {length // world_size}
        assert len(set(chain(*even))) == length // world_size * world_size


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"rank must be in 0\.\.1, got 2"):
        EpochSampler(10, rank=2, world_size=2)
    with pytest.raises(ValueError, match="2 samples cannot be shared by 3 ranks"):
        EpochSampler(2, world_size=3)
    for build in (lambda: EpochSampler(3, seed=-1), lambda: SeededTransform(SCENES, seed=-1)):
        with pytest.raises(ValueError, match="seed must not be negative, got -1"):
            build()


def test_collate():
    batch = collate_samples([SCENES[0], SCENES[1]])
    assert type(batch["image"]) is type(batch["mask"]) is torch.Tensor
    assert batch["image"].shape == (2, 3, 48, 48) and torch.equal(batch["mask"][1], SCENES[1]["mask"])
    assert batch["name"] == ["scene_0_000000", "scene_0_000001"]
    other = SyntheticScenes(1, size=(48, 64), seed=9)[0]
    message = r"got scene_0_000000 \(48, 48\), scene_9_000000 \(48, 64\); use batch size 1"
    with pytest.raises(ValueError, match=message):
        collate_samples([SCENES[0], other])
