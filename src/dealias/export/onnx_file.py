# SPDX-License-Identifier: Apache-2.0
"""Programs as ONNX files, and such files as functions."""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

OPSET = 20
"""Version of ONNX's operators: the first with bilinear sampling as torch has it."""


def write_onnx(program: ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a program as an ONNX file with the input ``images`` and the output ``logits``.

    Args:
        program: of :func:`dealias.export.trace`.
        path: the file.
        metadata: text by name, for the file's ``metadata_props``.
    """
    with _quiet():
        converted: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            output_names=["logits"],
            custom_translation_table={operator.floordiv: _floor_division()},
            optimize=False,  # takes minutes; runtimes do it when they load the file
            verbose=False,
        )
    converted.model.metadata_props.update(metadata)
    converted.save(str(path), external_data=False)


def open_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """An ONNX file as a function, computed by onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    return run


def _floor_division() -> Callable[..., Any]:
    """Division of sizes rounded down, whatever the sign: ONNX's own, which torch takes, rounds to zero."""
    from onnxscript import INT64
    from onnxscript import opset20 as op

    def floor_division(dividend: Any, divisor: Any) -> Any:
        return op.Div(op.Sub(dividend, op.Mod(dividend, divisor)), divisor)

    floor_division.__annotations__ = dict.fromkeys(("dividend", "divisor", "return"), INT64)
    return floor_division


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's remarks on its own workings."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
