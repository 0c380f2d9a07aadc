# SPDX-License-Identifier: Apache-2.0
"""Finds the recorded numbers of the published code and gives each record a test of its own.

A test marked ``@pytest.mark.records("02_", "03_", exclude=("02_slow",))`` that asks for ``record_path`` (the file) or
``record`` (its content) runs once per ``*.pt`` file whose stem starts with one of the prefixes and with none of the
excluded ones. The folder is the environment variable DEALIAS_PARITY, by default ``../shared/parity``.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("DEALIAS_PARITY", REPOSITORY / "../shared/parity"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "records(*prefixes, exclude=()): one test per recorded file with these prefixes")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "record_path" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("records")
    if marker is None:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} needs the marker records(*prefixes)")
    paths = find_records(marker.args, tuple(marker.kwargs.get("exclude", ())))
    if paths:
        metafunc.parametrize("record_path", paths, ids=[path.stem for path in paths])
        return
    found = "no record of the prefixes " + ", ".join(marker.args) if FOLDER.is_dir() else "no such folder"
    skip = pytest.mark.skip(reason=f"DEALIAS_PARITY={FOLDER}: {found}")
    metafunc.parametrize("record_path", [pytest.param(None, marks=skip, id="no-record")])


def find_records(prefixes: tuple[str, ...], exclude: tuple[str, ...] = ()) -> list[Path]:
    candidates = sorted(FOLDER.glob("*.pt"))
    return [path for path in candidates if path.stem.startswith(prefixes) and not path.stem.startswith(exclude)]


@pytest.fixture
def load_record() -> Callable[[Path], dict[str, Any]]:
    """The function that reads a record: plain Python values and tensors, nothing executed."""
    return lambda path: torch.load(path, weights_only=True)


@pytest.fixture
def record(record_path: Path, load_record: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    return load_record(record_path)


FLOAT32_FACTOR = 6
"""How many times its own float32-float64 difference the published code's float32 numbers may differ from ours."""


@pytest.fixture
def within() -> Callable[[torch.Tensor, torch.Tensor, float | None], None]:
    """``within(actual, recorded, written)``: equal within a few times the written float32-float64 difference.

    ``written=None`` is for float64 records: equal to 1e-9 of the largest recorded magnitude. A float32 record is not
    held closer than a few roundings of its largest magnitude, and a float32 result may be off by as much again.
    """

    def check(actual: torch.Tensor, recorded: torch.Tensor, written: float | None) -> None:
        assert actual.shape == recorded.shape
        largest = recorded.abs().max().item()
        allowed = 1e-9 * largest
        if written is not None:
            allowed = FLOAT32_FACTOR * max(written, torch.finfo(torch.float32).eps * largest)
        error = (actual.detach().double() - recorded.double()).abs().max().item()
        assert error <= allowed, f"differs by {error:.3g}, allowed {allowed:.3g} at magnitude {largest:.3g}"

    return check


@pytest.fixture
def follows(within) -> Callable[..., None]:
    """``follows(record, dtype, module, run, gradients=True)``: a module does what its record says.

    Its keys are those published and take the recorded weights; ``run(**inputs)`` gives the outputs by name. Outputs are
    compared with the float64 run where that is recorded and ``dtype`` is float64, and so are then all recorded
    gradients, which are float32 ones.
    """

    def check(
        record: dict[str, Any],
        dtype: torch.dtype,
        module: torch.nn.Module,
        run: Callable[..., dict[str, torch.Tensor]],
        gradients: bool = True,
    ) -> None:
        assert list(module.state_dict()) == record["keys"]
        module.load_state_dict(record["state_dict"], strict=True)
        module.to(dtype).eval()
        inputs = {name: x.to(dtype).requires_grad_() for name, x in record["inputs"].items()}
        outputs = run(**inputs)
        written = {key: value["max_abs"] for key, value in record["fp32_vs_fp64"].items()}
        for name, recorded in record["outputs"].items():
            exact = record.get("outputs64", {}).get(name) if dtype == torch.float64 else None
            if exact is None:
                within(outputs[name], recorded, written[f"outputs.{name}"])
            else:
                within(outputs[name], exact, None)
        if not gradients or "cotangents" not in record:
            return
        leaves = {f"grads.{name}": x for name, x in inputs.items()}
        leaves |= {f"param_grads.{name}": x for name, x in module.named_parameters()}
        loss = sum((outputs[name] * cotangent.to(dtype)).sum() for name, cotangent in record["cotangents"].items())
        found = dict(zip(leaves, torch.autograd.grad(loss, leaves.values(), allow_unused=True), strict=True))
        for group in ("grads", "param_grads"):
            usual = usual_rounding(record["fp32_vs_fp64"], group)
            for name, recorded in record.get(group, {}).items():
                if recorded is None:
                    assert found[f"{group}.{name}"] is None
                else:
                    rounding = max(written.get(f"{group}.{name}", 0.0), usual * recorded.abs().max().item())
                    within(found[f"{group}.{name}"], recorded, rounding)

    return check


def usual_rounding(written: dict[str, dict[str, float]], group: str) -> float:
    """The largest relative float32-float64 difference among a group's gradients.

    Single gradients of few numbers are closer than that by chance: other threads add up in another order.
    """
    of_group = [each for key, each in written.items() if key.startswith(f"{group}.") and each.get("ref_max")]
    return max((each["max_abs"] / each["ref_max"] for each in of_group), default=0.0)


KEPT = ("num_batches_tracked", "hamming", "init_pos", "filt", ".bases", "dwt.")
"""Keys that hold one of these keep the value they are built with."""


@pytest.fixture
def recipe_weights() -> Callable[[dict[str, Any]], dict[str, torch.Tensor]]:
    """``recipe_weights(record)``: the published state dict that a record describes by seed, shapes and sums.

    Keys whose values are not drawn (counters, fixed kernels) are left out.
    """

    def make(record: dict[str, Any]) -> dict[str, torch.Tensor]:
        seed, checks = record["recipe"]["seed"], record["weight_check"]
        assert record["recipe"]["mode"] == "fan"
        weights = {}
        for i, key in enumerate(sorted(record["keys"])):
            if any(part in key for part in KEPT):
                continue
            shape, total, magnitude = checks[key]
            weights[key] = draw(key, torch.Size(shape), torch.Generator().manual_seed(seed * 100003 + i))
            sums = weights[key].double().sum().item(), weights[key].double().abs().sum().item()
            assert sums == pytest.approx((total, magnitude), rel=0, abs=1e-6 * magnitude), key
        return weights

    return make


def draw(key: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if key.endswith("running_var"):
        return 0.5 + torch.rand(shape, generator=generator)
    normal = torch.randn(shape, generator=generator)
    if key.endswith("running_mean"):
        return 0.1 * normal
    if len(shape) >= 2:
        return normal / shape[1:].numel() ** 0.5
    if "layer_scale" in key or "gamma" in key:
        return 0.5 + 0.1 * normal
    return 1 + 0.1 * normal if key.endswith("weight") else 0.1 * normal
