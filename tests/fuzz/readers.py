# SPDX-License-Identifier: Apache-2.0
"""Everything that reads files which somebody else may have written: good files for it, and how it is called."""

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import seeds
import torch
import yaml
from target import Files, Reader, Target

SMALL = {"channels": [8] * 4, "stem_width": 8}


def _all(dataset: Any) -> None:
    for index in range(len(dataset)):
        dataset[index]


def _read_image(folder: Path, file: Path) -> None:
    from dealias.data import read_image

    read_image(file)


def _read_labels(folder: Path, file: Path) -> None:
    from dealias.data import read_labels

    read_labels(file)


def _read_instances(folder: Path, file: Path) -> None:
    from dealias.data import CocoInstances

    _all(CocoInstances(folder / "images", folder / "instances.json"))


def _read_panoptic(folder: Path, file: Path) -> None:
    from dealias.data import CocoPanoptic

    _all(CocoPanoptic(folder / "images", folder / "panoptic.json"))


def _check_instances(folder: Path, file: Path) -> None:
    from dealias.evaluation import ObjectFolders, check_objects

    check_objects([ObjectFolders(folder / "images", folder / "instances.json", any_ending=True)], workers=1)


def _check_panoptic(folder: Path, file: Path) -> None:
    from dealias.evaluation import ObjectFolders, check_objects

    check_objects([ObjectFolders(folder / "images", folder / "panoptic.json")], workers=1)


def _read_folders(folder: Path, file: Path) -> None:
    from dealias.experiments.data import open_validation

    _all(open_validation(f"folders:{folder / 'data.yaml'}"))


def _read_options(folder: Path, file: Path) -> None:
    from dealias.evaluation import parse_classes, parse_label_map

    parse_label_map(str(folder / "map.yaml"))
    parse_classes(str(folder / "classes.txt"))


def _write_config(folder: Path) -> Files:
    config = Path(__file__).parents[2] / "configs" / "tiny" / "fpn_freqfusion.yaml"
    (folder / "config.yaml").write_bytes(config.read_bytes())
    return [folder / "config.yaml"]


def _read_config(folder: Path, file: Path) -> None:
    from dealias.train.task_choice import choose_task

    choose_task(["--config", str(file)])


@cache
def _training_parser() -> Any:
    """The parser of ``dealias fit``, which takes seconds to make."""
    from dealias.train.lightning_cli import TrainingCLI

    class Made(Exception):
        """Ends the command line when its parser is there."""

    class Parser(TrainingCLI):
        def parse_arguments(self, parser: Any, args: Any) -> None:
            raise Made(parser)

    try:
        Parser(["fit"])
    except Made as made:
        return made.args[0]


def _read_training(folder: Path, file: Path) -> None:
    _read_config(folder, file)
    try:
        _training_parser().parse_args(["fit", "--config", str(file)])
    except argparse.ArgumentError as error:  # which the command line tells as it is
        raise ValueError(f"{file}: {error}") from error


def _write_compared(folder: Path) -> Files:
    from dealias._files import write_text
    from dealias.experiments.settings import CompareSettings, plan_runs

    run = plan_runs(CompareSettings(), folder, "cpu")[0]
    write_text(run.directory / "metrics.json", "{}")
    write_text(run.directory / "config.yaml", yaml.safe_dump(run.config(), sort_keys=False))
    return [run.directory / "config.yaml"]


def _read_compared(folder: Path, file: Path) -> None:
    from dealias.experiments.settings import CompareSettings, plan_runs

    plan_runs(CompareSettings(), folder, "cpu")[0].is_finished()


def _report(place: str) -> Callable[[Path, Path], None]:
    def read(folder: Path, file: Path) -> None:
        from dealias.report.html import write_report

        write_report([folder / place], folder / "report.html")

    return read


def _write_history(folder: Path) -> Files:
    rows = "".join(f"{step},{2 / step:.3f},\n" for step in range(1, 60, 10))
    (folder / "metrics.csv").write_text(f"step,train/loss,val/mIoU\n{rows}60,,0.5\n")
    return [folder / "metrics.csv"]


def _read_history(folder: Path, file: Path) -> None:
    from dealias.train import HistoryLogger

    HistoryLogger(folder).restore({"train/loss": 1.0}, 30)


def _write_prediction(folder: Path) -> Files:
    (folder / "last.ckpt").write_bytes(b"weights")
    _predict(folder)
    return [folder / "out" / "prediction.json"]


def _predict(folder: Path, file: Path | None = None) -> None:
    from dealias.prediction import ImageFile, Outputs, begin_or_resume
    from dealias.train import InferenceSettings

    images = [ImageFile(folder / "a.png", "a")]
    begin_or_resume(Outputs(folder / "out"), images, folder / "last.ckpt", InferenceSettings(), "cpu", resume=True)


def _write_checkpoint(folder: Path) -> Files:
    return [seeds.write_checkpoint(folder / "last.ckpt")]


def _read_checkpoint(folder: Path, file: Path) -> None:
    from dealias.inspection import open_checkpoint
    from dealias.train.checkpoint_files import readable_checkpoint

    open_checkpoint(readable_checkpoint(file))


def _write_weights(folder: Path) -> Files:
    import timm
    from safetensors.torch import save_file

    state = timm.create_model("test_resnet", **SMALL).state_dict()
    torch.save({"state_dict": state}, folder / "weights.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, folder / "weights.safetensors")
    return [folder / name for name in ("weights.pth", "old.pth", "weights.safetensors")]


def _read_weights(folder: Path, file: Path) -> None:
    from dealias.backbones import create_encoder

    create_encoder("test_resnet", str(file), options=SMALL)


def _read_published(folder: Path, file: Path) -> None:
    from dealias.compat.reading import read_published

    read_published(file)


def _write_model(folder: Path) -> Files:
    from dealias.models.files import write_model_file
    from dealias.train import load_checkpoint

    write_model_file(load_checkpoint(seeds.write_checkpoint(folder / "last.ckpt"))[0], folder / "model.safetensors")
    return [folder / "model.safetensors"]


def _read_model(folder: Path, file: Path) -> None:
    from dealias.models.files import read_model_file

    read_model_file(file)


READERS = {
    "images": Reader(seeds.write_images, _read_image),
    "labels": Reader(seeds.write_labels, _read_labels),
    "instances": Reader(seeds.write_instances, _read_instances),
    "panoptic": Reader(seeds.write_panoptic, _read_panoptic),
    "check-instances": Reader(seeds.write_instances, _check_instances),
    "check-panoptic": Reader(seeds.write_panoptic, _check_panoptic),
    "folders": Reader(seeds.write_folders, _read_folders),
    "options": Reader(seeds.write_options, _read_options),
    "config": Reader(_write_config, _read_config),
    "training": Reader(_write_config, _read_training),
    "compared": Reader(_write_compared, _read_compared),
    "report-run": Reader(lambda folder: seeds.write_run(folder / "run"), _report("run")),
    "report-comparison": Reader(seeds.write_comparison, _report(".")),
    "report-evaluation": Reader(seeds.write_evaluation, _report("out")),
    "report-aliasing": Reader(lambda folder: seeds.write_analysis(folder, "analysis.json"), _report("out")),
    "report-similarity": Reader(
        lambda folder: seeds.write_analysis(folder, "similarity.json", "--similarity"), _report("out")
    ),
    "history": Reader(_write_history, _read_history),
    "prediction": Reader(_write_prediction, _predict),
    "checkpoint": Reader(_write_checkpoint, _read_checkpoint),
    "weights": Reader(_write_weights, _read_weights),
    "published": Reader(_write_weights, _read_published),
    "model": Reader(_write_model, _read_model),
}


def open_target(name: str, folder: Path) -> Target:
    """The reader of that name with good files, which are written into an empty folder."""
    return Target(name, READERS[name], folder)
