# SPDX-License-Identifier: Apache-2.0
"""The command line ``dealias``: finds the subcommand, and loads what it needs only to run it.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args) -> exit code`` that imports nothing heavy at its
top. Those of the trainer take all their arguments from Lightning's command line; their help is shipped as text, since
building that parser takes seconds.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.resources import files

from dealias import __version__

HELP_FOLDER = files("dealias") / "cli_help"
"""Where the help texts of the trainer's commands are, a folder per task: see :mod:`dealias.train.write_help`."""

TRAINING = {
    "fit": "train a model",
    "validate": "score a checkpoint on the validation set",
    "test": "score a checkpoint on the test set",
    "predict": "write label PNGs of a data set by the trainer",
}
"""Commands of the trainer; those that are in :data:`MODULES` too are its own with ``--config`` only."""

MODULES = {
    "predict": ("write label maps and overlays of images by a checkpoint", "dealias.commands.predict"),
    "demo": ("train and compare small models on synthetic scenes, in minutes", "dealias.commands.demo"),
    "compare": ("train variants of a model with paired seeds and compare them", "dealias.commands.compare"),
    "evaluate": ("score label files of any tool against ground truth", "dealias.commands.evaluate"),
    "analyze": ("show where in a network and in images aliasing arises", "dealias.commands.analyze"),
    "convert": ("make a model file of a published checkpoint", "dealias.commands.convert"),
    "export": ("write a network as ONNX, torch.export program or compiled package", "dealias.commands.export"),
    "info": ("show parameters, operations, memory and time of a network", "dealias.commands.info"),
    "report": ("write one page about finished runs", "dealias.commands.report"),
    "data": ("check a data set", "dealias.commands.data"),
    "kernels": ("compile the CPU kernels, or say whether they are active", "dealias.commands.kernels"),
    "list": ("list models, fusions, prefilters, mixers, modulations and backbones", "dealias.commands.list"),
}
"""All other commands, and the module of each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dealias`` and return its exit code.

    That is 0; 1 when a training diverged; 2 for wrong arguments, data or files, which are named; 130 when interrupted.
    With the environment variable ``DEALIAS_DEBUG`` set, errors keep their traceback.

    Args:
        argv: the arguments; None for those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else "--help"
    if os.environ.get("DEALIAS_DEBUG"):
        return _run(command, arguments)
    try:
        return _run(command, arguments)
    except argparse.ArgumentError as error:
        return _fail(f"{command}: {error}\nSee dealias {command} --help", 2)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "dealias":
            raise
        return _fail(f"{command}: it needs {error.name}; install it with pip install 'dealias[train]'", 2)
    except FloatingPointError as error:
        return _fail(f"{command}: {error}", 1)
    except (ValueError, OSError) as error:
        return _fail(f"{command}: {_cause(error)}", 2)
    except KeyboardInterrupt as error:
        return _fail(f"{command}: {str(error) or 'interrupted'}", 130)


def _run(command: str, arguments: list[str]) -> int:
    if _is_for_trainer(command, arguments):
        if {"-h", "--help"} & set(arguments):
            task = import_module("dealias.train.task_choice").choose_task(arguments[1:])
            sys.stdout.write((HELP_FOLDER / task / f"{command}.txt").read_text(encoding="utf-8"))
            return 0
        return import_module("dealias.train.commands").run_training_command(command, arguments[1:])
    options = _parser(command).parse_args(arguments or [command])
    return options.run(options)


def _is_for_trainer(command: str, arguments: list[str]) -> bool:
    options = {argument.partition("=")[0] for argument in arguments}
    return command in TRAINING and (command not in MODULES or bool({"-c", "--config"} & options))


def _parser(command: str) -> argparse.ArgumentParser:
    """The parser of all commands, with the arguments of ``command``."""
    parser = argparse.ArgumentParser("dealias", description="Frequency-aware sampling for dense prediction.")
    parser.add_argument("--version", action="version", version=f"dealias {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text in TRAINING.items():
        if name not in MODULES:
            commands.add_parser(name, help=text)
    for name, (text, module) in MODULES.items():
        subparser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == command:
            implementation = import_module(module)
            implementation.add_arguments(subparser)
            subparser.set_defaults(run=implementation.run)
    return parser


def _cause(error: Exception) -> str:
    """The message; of an error that crossed from a loading process, which brings its traceback along, the last line."""
    text = str(error).strip()
    return text.splitlines()[-1].removeprefix("ValueError: ") if "Original Traceback" in text else text


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"dealias {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
