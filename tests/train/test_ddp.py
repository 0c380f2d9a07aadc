# SPDX-License-Identifier: Apache-2.0
"""Two processes compute what one does: gradients of the joint batch, and scores over every image once."""

import json

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from dealias.train import LastCheckpoint, OptimizerSettings, SegmentationTask
from dealias.train.pictures import RunPictures

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")]


class Scores(Callback):
    """Writes the scores of every process to a file of its own."""

    def __init__(self, folder):
        self.folder = folder

    def on_validation_end(self, trainer, task):
        file = self.folder / f"{trainer.world_size}-{trainer.global_rank}.json"
        file.write_text(json.dumps([task.scores["val"], task.image_scores["val"]]))


@pytest.fixture
def train(make_network, make_data, make_trainer, tmp_path):
    def train(batch_size, **options):
        network = make_network(auxiliary=True)
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.Dropout2d)):
                module.train = lambda mode=True, module=module: module
                module.training = False
        task = SegmentationTask(network, optimizer=OptimizerSettings("sgd", lr=0.5))
        path = tmp_path / f"{batch_size}.ckpt"
        callbacks = [Scores(tmp_path), RunPictures(tmp_path / str(batch_size), 2), LastCheckpoint(path)]
        trainer = make_trainer(max_epochs=2, callbacks=callbacks, **options)
        trainer.fit(task, make_data(length=17, batch_size=batch_size, val=7))
        return torch.load(path, weights_only=True)

    return train


def test_two_processes_equal_one_with_twice_the_batch(train, tmp_path):
    alone = train(8)
    strategy = DDPStrategy(start_method="fork", process_group_backend="gloo", find_unused_parameters=False)
    together = train(4, devices=2, strategy=strategy)
    assert together["global_step"] == alone["global_step"] == 4
    for name, tensor in alone["state_dict"].items():
        torch.testing.assert_close(together["state_dict"][name], tensor, rtol=1e-5, atol=1e-6)
    expected = json.loads((tmp_path / "1-0.json").read_text())
    for rank in (0, 1):
        assert json.loads((tmp_path / f"2-{rank}.json").read_text()) == expected
    assert [name for name, _ in expected[1]] == [f"block{number}" for number in range(7)]
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / run).rglob("*.*")} for run in ("8", "4"))
    assert one == two and {"images_val.csv", "pictures.json", "000_prediction.png"} <= set(one)
