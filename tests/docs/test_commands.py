# SPDX-License-Identifier: Apache-2.0
"""Every command that a page shows is one: its parser takes it, and the page about training works from top to bottom."""

import argparse
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import timm

from dealias import cli
from dealias.backbones import INTERNIMAGES, MSCANS
from dealias.filters import list_prefilters
from dealias.fusion import list_fusions
from dealias.mixing import list_mixers
from dealias.modulation import list_modulations
from dealias.train.lightning_cli import TrainingCLI

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "SECURITY.md", *(REPOSITORY / "docs").glob("*.md")])
NO_COMMANDS_OF_OURS = {"pip", "cd", "git", "ulimit"}
OF_THE_SHELL = {"$run": ["runs/b"], "$resume": []}
KNOWN = {
    "fusion": set(list_fusions()),
    "prefilter": {f"{name}{mixer}" for name in list_prefilters() for mixer in ("", "+freqmix")},
    "mixer": {"none", *list_mixers()},
    "modulation": {"none", *list_modulations(), "ars+loss"},
    "encoder": {*timm.list_models(), *MSCANS, *INTERNIMAGES},
    "timm": set(timm.list_models()),
}
"""Values of options that a parser takes as they are, and the run looks up."""


def commands(page):
    """The commands of a page, as lists of words; of several words of the shell before one of ours, what follows."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = [] if line.startswith("run=") or line.startswith("resume=") else shlex.split(line, comments=True)
            if words and words[0] not in NO_COMMANDS_OF_OURS:
                found.append([part for word in words for part in OF_THE_SHELL.get(word, [word])])
    return found


SHOWN = [pytest.param(words, id=f"{page.stem}: {' '.join(words)[:60]}") for page in PAGES for words in commands(page)]


def of_dealias(words):
    """The arguments of ``dealias`` in a command that may start it through something else; None where none does."""
    if "dealias" in words:
        return words[words.index("dealias") + 1 :]
    return words[words.index("dealias.cli") + 1 :] if "dealias.cli" in words else None


@pytest.fixture
def parse_training(monkeypatch):
    """Parse arguments as ``dealias fit`` does, without building or running anything."""
    monkeypatch.setattr(TrainingCLI, "instantiate_classes", lambda self: None)
    monkeypatch.setattr(TrainingCLI, "_run_subcommand", lambda self, command: None)
    return TrainingCLI


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
@pytest.mark.parametrize("words", SHOWN)
def test_command_is_one(words, stand_ins, parse_training, capsys):
    arguments = of_dealias(words)
    if arguments is not None:
        check_dealias(arguments, parse_training)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    elif words[0] == "python":
        assert (REPOSITORY / words[1]).is_file()
    else:
        pytest.fail(f"no test knows {words[0]}")


def check_dealias(arguments, parse_training):
    command = arguments[0]
    configs = [after for word, after in pairwise(arguments) if word in ("--config", "-c")]
    assert all(Path(config).is_file() for config in configs)
    if {"-h", "--help"} & set(arguments):
        assert command in cli.TRAINING or command in cli.MODULES
    elif cli._is_for_trainer(command, arguments):
        parse_training([*arguments, "--trainer.sync_batchnorm", "false"])  # which is refused where there is no GPU
    else:
        parsed = vars(cli._parser(command).parse_args(arguments))
        for option, known in KNOWN.items():
            given = parsed.get(option)
            names = {given} if isinstance(given, str) else {*given} if isinstance(given, list) else set()
            unknown = names - known
            assert not unknown, f"--{option} {unknown}"
        assert callable(parsed["run"])


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
def test_a_wrong_command_is_noticed(stand_ins, parse_training):
    with pytest.raises(SystemExit):
        check_dealias(shlex.split("compare --fusions bilinear"), parse_training)
    with pytest.raises(AssertionError):
        check_dealias(shlex.split("compare --fusion bilinaer"), parse_training)
    with pytest.raises(argparse.ArgumentError, match="schedul"):
        check_dealias(shlex.split("fit --config my.yaml --model.schedul.name cosine"), parse_training)


def test_pages_have_commands():
    assert {words[1] for words in map(list, (param.values[0] for param in SHOWN)) if words[0] == "dealias"} == {
        *cli.TRAINING,
        *cli.MODULES,
    } - {"validate", "list"}


SMALL = ["--device", "cpu"]
TRAINED_SMALL = (
    "--model.network.encoder_name test_resnet --model.network.encoder_weights null --data.workers 0 "
    "--data.batch_size 2 --data.train_transform.crop_size 64 --model.schedule.warmup_steps 0 --trainer.accelerator cpu "
    "--trainer.enable_progress_bar false --trainer.enable_model_summary false "
    "--trainer.val_check_interval 1 --trainer.max_steps"
)
MADE_SMALL = {
    "compare": [
        "--batch-size",
        "2",
        "--encoder",
        "test_resnet",
        "--seeds",
        "1",
        "--steps",
        "1",
        "--crop",
        "64",
        "--workers",
        "1",
        *SMALL,
    ],
    "predict": SMALL,
    "analyze": ["--limit", "1", "--size", "64", "--samples", "1", "--maps", "1", *SMALL],
    "fit": TRAINED_SMALL.split(),
    "test": TRAINED_SMALL.split(),
}
"""What a command of the page about training gets in addition, so that it takes seconds."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_about_training_works_from_top_to_bottom(stand_ins, capsys):
    steps = 0
    shutil.rmtree("runs/NAME")
    for words in commands(REPOSITORY / "docs" / "train.md"):
        arguments = [*words[1:], *MADE_SMALL.get(words[1], [])]
        if words[1] in ("fit", "test"):
            steps += words[1] == "fit"
            arguments += [str(steps)] + (
                ["--run.directory", "runs/NAME"] if words[1:] == ["fit", "--config", "my.yaml"] else []
            )
        if "compare" in arguments:
            weights = arguments.index("--encoder-weights")
            del arguments[weights : weights + 2]
        code = cli.main(arguments)
        assert code == 0, f"{shlex.join(arguments)}\n{capsys.readouterr().err}"
    assert Path("runs/NAME/report.html").is_file() and len(list(Path("runs").rglob("report.html"))) >= 4
