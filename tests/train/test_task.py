# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
import torch
from torch import nn

from dealias.losses import SegmentationLoss, cross_entropy
from dealias.metrics import SegmentationMetrics
from dealias.train import (
    HistoryLogger,
    InferenceSettings,
    LastCheckpoint,
    MetricSettings,
    OptimizerSettings,
    ScheduleSettings,
    SegmentationTask,
    predict_logits,
)
from dealias.train.schedule import learning_rate


def frozen_norms(network):
    """The same network with batch norms that keep their statistics, and without dropout."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.Dropout2d)):
            module.train = lambda mode=True, module=module: module
            module.training = False
    return network


def weights(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_learns_a_tiny_set(make_task, make_data, make_trainer):
    task, data = make_task(optimizer=OptimizerSettings(lr=0.05)), make_data(length=4, batch_size=4)
    batch = next(iter(data.train_dataloader()))
    before = cross_entropy(task.network.eval()(batch["image"]), batch["mask"])
    make_trainer(max_steps=40).fit(task, data)
    after = cross_entropy(task.network.eval()(batch["image"]), batch["mask"])
    assert after < 0.4 * before
    assert task.scores["val"]["mIoU"] > 0.8


def test_one_step_is_that_of_plain_torch(make_network, make_data, make_trainer):
    network = make_network(auxiliary=True, dropout=0.0)
    twin, data = copy.deepcopy(network), make_data(batch_size=4)
    settings = OptimizerSettings("sgd", lr=0.1, weight_decay=0.1, momentum=0.0, factors={"decoder": 2.0})
    task = SegmentationTask(network, optimizer=settings, schedule=ScheduleSettings("constant"))
    batch = next(iter(data.train_dataloader()))
    make_trainer(max_steps=1).fit(task, data)

    logits, auxiliary, *_ = twin.train().forward_train(batch["image"])
    (cross_entropy(logits, batch["mask"]) + 0.4 * cross_entropy(auxiliary, batch["mask"])).backward()
    for (name, found), expected in zip(network.named_parameters(), twin.parameters(), strict=True):
        lr = 0.2 if name.startswith("decoder") else 0.1
        decay = 0.1 * expected.data if expected.dim() > 1 else 0.0
        torch.testing.assert_close(found, expected - lr * (expected.grad + decay))


def test_accumulated_gradients_are_those_of_the_large_batch(make_network, make_data, make_trainer):
    results = []
    for batch_size, accumulate in ((8, 1), (2, 4)):
        network = frozen_norms(make_network())
        task = SegmentationTask(network, optimizer=OptimizerSettings("sgd", lr=0.5))
        data = make_data(length=16, batch_size=batch_size)
        trainer = make_trainer(max_epochs=2, accumulate_grad_batches=accumulate, gradient_clip_val=0.5)
        trainer.fit(task, data)
        assert trainer.global_step == 4
        results.append(weights(network))
    assert not torch.equal(results[0][0], weights(make_network())[0])
    for large, accumulated in zip(*results, strict=True):
        torch.testing.assert_close(accumulated, large, rtol=1e-5, atol=1e-6)


def test_scores_and_history_are_those_of_the_data(make_task, make_data, make_trainer, tmp_path):
    schedule = ScheduleSettings(warmup_steps=2)
    task, data = make_task(schedule=schedule, metrics=MetricSettings(width=3)), make_data()
    trainer = make_trainer(max_epochs=2, logger=HistoryLogger(tmp_path))
    trainer.fit(task, data)
    metrics = SegmentationMetrics(3, width=3)
    for batch in data.val_dataloader():
        metrics.update(task.network.eval()(batch["image"]), batch["mask"])
    for name, value in metrics.compute().items():
        torch.testing.assert_close(torch.tensor(task.scores["val"][name], dtype=value.dtype), value, equal_nan=True)
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert {"step", "train/loss", "train/lr", "train/seconds_per_step", "val/mIoU", "val/DErr"} <= set(
        rows[0].split(",")
    )
    rates = [row.split(",")[rows[0].split(",").index("train/lr")] for row in rows[1:]]
    expected_rates = [learning_rate(step, 10, 1e-3, schedule) for step in range(10)]
    assert [float(rate) for rate in rates if rate] == pytest.approx(expected_rates, rel=1e-5)
    assert len(task.step_seconds) == 10 and min(task.step_seconds) > 0


def test_test_and_predict_use_the_inference_settings(make_network, make_data, make_trainer):
    options = {"window": 32, "stride": 8, "flip": True}
    network = make_network()
    task, data = SegmentationTask(network, inference=InferenceSettings(**options)), make_data()
    trainer = make_trainer()
    predictions = trainer.predict(task, data)
    trainer.test(task, data, verbose=False)
    metrics = SegmentationMetrics(3)
    for batch in data.test_dataloader():
        metrics.update(predict_logits(network.eval(), batch["image"], **options).detach(), batch["mask"])
    assert task.scores["test"]["mIoU"] == pytest.approx(metrics.compute()["mIoU"].item())
    for found, batch in zip(predictions, data.predict_dataloader(), strict=True):
        assert torch.equal(found, predict_logits(network.eval(), batch["image"], **options).argmax(1))


def test_bfloat16_trains_a_step(make_task, make_data, make_trainer):
    task = make_task(optimizer=OptimizerSettings(lr=0.1))
    before = weights(task.network)
    make_trainer(max_steps=1, precision="bf16-mixed").fit(task, make_data())
    after = weights(task.network)
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in after)
    assert not torch.equal(before[0], after[0])


class FailingLoss(SegmentationLoss):
    """Nan from the given step on."""

    def __init__(self, step):
        super().__init__()
        self.step, self.calls = step, 0

    def forward(self, logits, target, auxiliary_logits=None):
        self.calls += 1
        loss = super().forward(logits, target, auxiliary_logits)
        return loss * float("nan") if self.calls > self.step else loss


def test_a_loss_of_nan_stops_and_keeps_the_last_good_checkpoint(make_task, make_data, make_trainer, tmp_path):
    path = tmp_path / "last.ckpt"
    trainer = make_trainer(max_epochs=3, callbacks=[LastCheckpoint(path, every_steps=2)])
    with pytest.raises(FloatingPointError, match=r"loss is nan at step 3 \(epoch 0, batch 3, samples block\d"):
        trainer.fit(make_task(loss=FailingLoss(3)), make_data())
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["global_step"] == 2
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())


def test_trains_without_validation_set(make_task, make_data, make_trainer):
    task = make_task()
    make_trainer(max_steps=2).fit(task, make_data(val=0))
    assert task.scores == {} and len(task.step_seconds) == 2


def test_data_of_other_classes_are_refused(make_network, blocks, make_data, make_trainer):
    task = SegmentationTask(make_network())
    data = make_data()
    data.datasets["train"].classes = ("a", "b")
    with pytest.raises(ValueError, match="3 classes, the data has 2"):
        make_trainer(max_steps=1).fit(task, data)


def test_a_training_without_end_needs_a_length(make_task, make_data, make_trainer):
    with pytest.raises(ValueError, match=r"max_steps or trainer\.max_epochs"):
        make_trainer(max_epochs=-1).fit(make_task(), make_data())
