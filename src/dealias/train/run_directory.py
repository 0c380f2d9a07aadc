# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: its configuration, environment, logs, scores and checkpoints.

``config.yaml`` repeats the run, ``env.json`` says with what it ran, ``metrics.csv`` is its course, ``metrics.json`` its
result, ``images_val.csv`` and ``images_test.csv`` the scores of every image, ``pictures/`` the predictions of some, and
``checkpoints/`` holds ``best.ckpt``, ``last.ckpt`` and what each has replaced last.
"""

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import dealias

RUNS = Path("runs")
"""Where runs are kept unless a folder is given."""

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "jsonargparse", "numpy")


def new_run_directory(name: str, root: str | Path = RUNS) -> Path:
    """Make the folder ``<date>-<time>-<name>`` in ``root``, with a number behind it where that exists.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     new_run_directory("fit", root).name.endswith("-fit")
    True
    """
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    number = 1
    while True:
        path = Path(root) / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return path


def checkpoint_path(run: str | Path, which: str) -> Path:
    """Path of the checkpoint ``which`` (``"best"`` or ``"last"``) of a run."""
    return Path(run) / "checkpoints" / f"{which}.ckpt"


def newest_checkpoint(which: str, root: str | Path = RUNS) -> Path:
    """The checkpoint ``which`` (``"best"`` or ``"last"``) that was written last under ``root``.

    Raises:
        ValueError: no run there has one.
    """
    found = Path(root).glob(f"*/checkpoints/{which}.ckpt")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise ValueError(f"no run in {root} has a checkpoint checkpoints/{which}.ckpt")
    return newest


def run_of_checkpoint(path: str | Path) -> Path | None:
    """The run directory that a checkpoint belongs to, or None if it lies elsewhere."""
    folder = Path(path).parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None


def environment(seed: int | None = None, device: torch.device | str = "cpu") -> dict[str, Any]:
    """With what a run runs, in plain values, for ``env.json``.

    Args:
        seed: of the run.
        device: where its tensors are.

    Returns:
        ``versions``, ``revision`` (of the working copy that dealias is imported from; None without one), ``system``,
        ``device``, ``cpus``, ``threads``, ``seed``, ``command`` (for a shell) and ``started``.
    """
    device = torch.device(device)
    return {
        "versions": {"python": platform.python_version(), "dealias": dealias.__version__} | _installed_versions(),
        "revision": _revision(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "seed": seed,
        "command": _command(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _command() -> str:
    """What started this process, quoted for a shell; ``python -m dealias.cli`` is the same as ``dealias``."""
    program = Path(sys.argv[0])
    is_ours = program.resolve() == Path(dealias.__file__).resolve().with_name("cli.py")
    return shlex.join(["dealias" if is_ours else program.name, *sys.argv[1:]])


def _installed_versions() -> dict[str, str]:
    installed = {distribution.name: distribution.version for distribution in metadata.distributions()}
    return {name: installed[name] for name in _PACKAGES if name in installed}


def _revision() -> str | None:
    """The git revision of the package's source, with ``-dirty`` behind it if files differ from it."""
    source = Path(dealias.__file__).parent
    # An installed package may lie inside somebody's repository without being a part of it.
    tracked = _git(source, "ls-files", "--error-unmatch", "__init__.py")
    return _git(source, "describe", "--always", "--dirty", "--abbrev=40") if tracked else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
