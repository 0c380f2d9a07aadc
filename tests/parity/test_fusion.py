# SPDX-License-Identifier: Apache-2.0
"""FreqFusion, its sampler and CARAFE against recorded numbers of the published modules: keys, outputs, all gradients.

The record names constructor arguments, weights and inputs; the shapes of the weights tell ``direction_feat``, which the
published constructor does not expose.
"""

import pytest
import torch

from dealias import compat

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.records("02_")
def test_freqfusion(record, dtype, within):
    if "REFLECT" in record["what"]:
        pytest.skip("made with the published fallback that reflects at borders; the method's border is zero")
    options = dict(record["config"])
    if "dysampler.offset.weight" in record["state_dict"]:
        seen, window = record["state_dict"]["dysampler.offset.weight"].shape[1], 3**2 - 1
        options["direction_feat"] = "sim" if seen == window else "sim_concat"
    check(compat.FreqFusion(**options), record, ("mask_lr", "hr_feat", "lr_feat"), dtype, within)


@DTYPES
@pytest.mark.records("04_sampler")
def test_sampler(record, dtype, within):
    check(compat.LocalSimGuidedSampler(**record["config"]), record, ("out",), dtype, within)


@DTYPES
@pytest.mark.records("10_carafepack")
def test_carafe_pack(record, dtype, within):
    check(compat.CARAFEPack(**record["config"]), record, ("out",), dtype, within)


def check(module, record, names, dtype, within):
    assert list(module.state_dict()) == record["keys"]
    module.load_state_dict(record["state_dict"], strict=True)
    module.to(dtype).eval()
    inputs = {name: x.to(dtype).requires_grad_() for name, x in record["inputs"].items()}
    returned = module(**inputs)
    outputs = dict(zip(names, returned if isinstance(returned, tuple) else (returned,), strict=True))
    written = {key: value["max_abs"] for key, value in record["fp32_vs_fp64"].items()}
    for name, recorded in record["outputs"].items():
        exact = record.get("outputs64", {}).get(name) if dtype == torch.float64 else None
        within(
            outputs[name],
            recorded if exact is None else exact,
            None if exact is not None else written[f"outputs.{name}"],
        )
    if "cotangents" not in record:
        return
    loss = sum((outputs[name] * cotangent.to(dtype)).sum() for name, cotangent in record["cotangents"].items())
    leaves = {f"grads.{name}": x for name, x in inputs.items()}
    leaves |= {
        f"param_grads.{name}": x for name, x in module.named_parameters() if name in record.get("param_grads", {})
    }
    grads = dict(zip(leaves, torch.autograd.grad(loss, leaves.values(), allow_unused=True), strict=True))
    for group in ("grads", "param_grads"):
        for name, recorded in record.get(group, {}).items():
            if recorded is None:
                assert grads[f"{group}.{name}"] is None
            else:
                within(grads[f"{group}.{name}"], recorded, written.get(f"{group}.{name}", 0.0))
