# SPDX-License-Identifier: Apache-2.0
"""Where results are kept, ``results/<version>/<area>--<device>.json``, and the circumstances recorded with them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

import dealias
from dealias._files import write_json
from dealias.kernels import kernel_status

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / dealias.__version__


def device_name(device: torch.device) -> str:
    """The model of the processor or GPU, as it calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else None
    return model.group(1) if model else platform.processor() or platform.machine()


def results_path(area: str, device: torch.device) -> Path:
    """The file of one area on one device, such as ``reassemble--cuda-nvidia-h200.json``."""
    model = re.sub("[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    return RESULTS / f"{area}--{device.type}-{model}.json"


def circumstances(device: torch.device) -> dict[str, Any]:
    """What a number depends on beside the code."""
    return {
        "dealias": dealias.__version__,
        "revision": revision(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "compiled_kernels": kernel_status().active,
        "THP_MEM_ALLOC_ENABLE": os.environ.get("THP_MEM_ALLOC_ENABLE", "unset"),
    }


@cache
def revision() -> str | None:
    """The commit, marked if files differed from it at first asking; ``None`` outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def record(area: str, device: torch.device, content: dict[str, Any]) -> Path:
    """Write one area's results, whole or not at all."""
    path = results_path(area, device)
    write_json(path, {"area": area, "circumstances": circumstances(device), **content})
    return path
