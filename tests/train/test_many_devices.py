# SPDX-License-Identifier: Apache-2.0
"""``dealias`` in two processes, as torchrun starts them: shared weights, exact scores, lost processes, SIGTERM."""

import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from dealias.cli import main
from dealias.train import load_checkpoint

CONFIGS = Path(__file__).parents[2] / "configs" / "tiny"
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false", "--run.pictures", "0"]
SERVER = multiprocessing.get_context("forkserver")
PATIENCE = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo"),
]


def work(rank, processes, port, errors, arguments):
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    names = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({name: str(value) for name, value in names.items()})
    rank_zero_only.rank = rank  # read when it was imported, by the server
    for stream, target in ((1, os.devnull), (2, f"{errors}{rank}")):
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.exit(main(arguments))


@pytest.fixture(scope="module")
def launch():
    """``launch(run, command, config, *arguments)``: two processes that work together in a folder."""
    SERVER.set_forkserver_preload(["dealias.train.commands", "dealias.models"])

    def start(run, command, config, *arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = [command, "--config", str(CONFIGS / config), "--run.directory", str(run), "--trainer.devices", "2"]
        options = [*options, *QUIET, "--data.batch_size", "2", *arguments]
        common = (2, port, run.with_suffix(".err"), options)
        processes = [SERVER.Process(target=work, args=(rank, *common)) for rank in range(2)]
        for process in processes:
            process.start()
        return processes

    yield start
    for process in multiprocessing.active_children():
        process.kill()


def finish(processes, run):
    """The exit codes."""
    for process in processes:
        process.join(PATIENCE)
    codes = [process.exitcode for process in processes]
    assert None not in codes, f"hangs: {said(run)}"
    return codes


def said(run):
    return [Path(f"{run}.err{rank}").read_text() for rank in range(2)]


def saved(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)


def wait_for_save(run, processes):
    deadline = time.monotonic() + PATIENCE
    while not (run / "checkpoints" / "last.ckpt").is_file():
        assert all(process.is_alive() for process in processes), said(run)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def scores(run, stage="val"):
    return json.loads((run / "metrics.json").read_text())["scores"][stage]


def assert_equal_weights(found, expected):
    assert found["global_step"] == expected["global_step"]
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name


def test_shared_weights_train_as_whole_ones_and_are_saved_whole(launch, tmp_path):
    runs = {strategy: tmp_path / strategy for strategy in ("fsdp", "ddp")}
    for strategy, run in runs.items():
        processes = launch(run, "fit", "fpn_freqfusion.yaml", "--trainer.strategy", strategy)
        assert finish(processes, run) == [0, 0], said(run)
    assert_equal_weights(saved(runs["fsdp"]), saved(runs["ddp"]))
    last = runs["fsdp"] / "checkpoints" / "last.ckpt"
    assert load_checkpoint(last)[1]["step"] == 4

    config = str(CONFIGS / "fpn_freqfusion.yaml")
    alone = tmp_path / "alone"
    assert main(["validate", "--config", config, "--run.directory", str(alone), "--ckpt_path", str(last), *QUIET]) == 0
    assert scores(alone) == scores(runs["fsdp"]) == scores(runs["ddp"])

    extended = ["--trainer.max_epochs", "3", "--ckpt_path", "last"]
    for strategy, run in runs.items():  # each goes on as the other kind
        other = ["--trainer.strategy", "ddp" if strategy == "fsdp" else "fsdp"]
        assert finish(launch(run, "fit", "fpn_freqfusion.yaml", *other, *extended), run) == [0, 0], said(run)
    assert saved(runs["fsdp"])["global_step"] == 6
    assert_equal_weights(saved(runs["fsdp"]), saved(runs["ddp"]))


def test_scores_of_objects_are_those_of_one_process(launch, tmp_path):
    config = "objects_panoptic_freqfusion.yaml"
    given = ["fit", "--config", str(CONFIGS / config), "--run.directory", str(tmp_path / "fit"), *QUIET]
    assert main([*given, "--trainer.max_steps", "1"]) == 0
    last = tmp_path / "fit" / "checkpoints" / "last.ckpt"
    alone, together = tmp_path / "alone", tmp_path / "together"
    given = ["validate", "--config", str(CONFIGS / config), "--run.directory", str(alone), *QUIET]
    assert main([*given, "--ckpt_path", str(last)]) == 0
    assert finish(launch(together, "validate", config, "--ckpt_path", str(last)), together) == [0, 0], said(together)
    assert scores(together) == scores(alone) and {"box_AP", "mask_AP", "PQ"} <= scores(alone).keys()


def test_a_run_that_loses_a_process_ends_and_is_resumed(launch, tmp_path):
    lost, whole = tmp_path / "lost", tmp_path / "whole"
    every = ["--run.checkpoint_every", "1", "--trainer.max_epochs", "5"]
    processes = launch(lost, "fit", "fpn_freqfusion.yaml", *every)
    wait_for_save(lost, processes)
    processes[1].kill()
    assert finish(processes, lost) == [2, -signal.SIGKILL]
    assert "another process of this run has ended" in said(lost)[0] and "resume with --ckpt_path" in said(lost)[0]
    for run, resumed in ((lost, ["--ckpt_path", "last"]), (whole, [])):
        assert finish(launch(run, "fit", "fpn_freqfusion.yaml", *every, *resumed), run) == [0, 0], said(run)
    assert_equal_weights(saved(lost), saved(whole))


def test_all_processes_save_when_one_is_told_to_stop(launch, tmp_path):
    run = tmp_path / "run"
    often = ["--trainer.max_epochs", "1000", "--trainer.check_val_every_n_epoch", "1000"]
    processes = launch(run, "fit", "fpn_freqfusion.yaml", *often, "--run.checkpoint_every", "20")
    wait_for_save(run, processes)
    os.kill(processes[1].pid, signal.SIGTERM)
    codes = finish(processes, run)
    assert 0 not in codes  # 130, or what a process ends with whose other one has gone
    step = saved(run)["global_step"]
    assert step > 20 and step % 20, "saved because it was time, not because it was told to stop"
    assert "resume with --ckpt_path" in "".join(said(run))


def test_synchronised_batch_norms_need_gpus(launch, tmp_path):
    run = tmp_path / "run"
    assert finish(launch(run, "fit", "fpn_freqfusion.yaml", "--trainer.sync_batchnorm", "true"), run) == [2, 2]
    assert "trainer.sync_batchnorm" in said(run)[0]
