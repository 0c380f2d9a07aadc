# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from dealias.train.schedule import ScheduleSettings, build_schedule, learning_rate


def closed_form(name, step, steps, base, warmup):
    """Written down from the definitions, with power 0.9, end 1e-4 and a warm-up from 0.1."""
    t = step / steps
    rate = {
        "poly": 1e-4 + (base - 1e-4) * (1 - t) ** 0.9,
        "cosine": 1e-4 + (base - 1e-4) * 0.5 * (1 + math.cos(math.pi * t)),
        "constant": base,
    }[name]
    return rate * min(1.0, 0.1 + 0.9 * step / warmup)


@pytest.mark.parametrize("name", ["poly", "cosine", "constant"])
def test_optimizer_follows_the_closed_form_in_every_group(name):
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.02}])
    settings = ScheduleSettings(name, power=0.9, min_lr=1e-4, warmup_steps=5, warmup_start=0.1)
    schedule = build_schedule(optimizer, 20, settings)
    for step in range(21):
        found = [group["lr"] for group in optimizer.param_groups]
        assert found == pytest.approx([closed_form(name, step, 20, base, 5) for base in (0.1, 0.02)], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_ends_at_the_minimum_and_stays_there():
    settings = ScheduleSettings("poly", min_lr=1e-5)
    assert [learning_rate(step, 10, 0.1, settings) for step in (10, 11, 1000)] == [1e-5] * 3


def test_steps_fall_at_milestones_of_any_unit():
    settings = ScheduleSettings("steps", milestones=(8, 11), length=12)
    rates = [learning_rate(step, 24, 1.0, settings) for step in range(25)]
    assert rates == pytest.approx([1.0] * 16 + [0.1] * 6 + [0.01] * 3)
    with pytest.raises(ValueError, match=r"milestones must be in 0 to the length 12, got \(8, 12\)"):
        ScheduleSettings("steps", milestones=(8, 12))


def test_state_is_plain_and_restores_the_position():
    def make():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        return optimizer, build_schedule(optimizer, 10, ScheduleSettings())

    optimizer, schedule = make()
    for _ in range(4):
        optimizer.step()
        schedule.step()
    other_optimizer, other = make()
    other.load_state_dict(schedule.state_dict())
    other_optimizer.load_state_dict(optimizer.state_dict())
    for pair in ((optimizer, schedule), (other_optimizer, other)):
        pair[0].step()
        pair[1].step()
    assert optimizer.param_groups[0]["lr"] == other_optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**0.9)


def test_unknown_schedules_are_named():
    with pytest.raises(ValueError, match=r"'step'.*'poly', 'cosine'"):
        learning_rate(0, 10, 0.1, ScheduleSettings("step"))
