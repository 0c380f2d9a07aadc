# SPDX-License-Identifier: Apache-2.0
"""Matrix factorisation against the updates of Lee and Seung written out, and what a layer made of it promises."""

import numpy as np
import pytest
import torch

from dealias.heads import NMF


def normal_map(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype).relu()


def factorised(x, bases, steps):
    """One image [D, N] with start bases [D, R], in numpy: the product of the two factors."""
    bases = bases / np.linalg.norm(bases, axis=0)
    scores = np.exp(x.T @ bases)
    coefficients = scores / scores.sum(1, keepdims=True)
    for _ in range(steps):
        coefficients = coefficients * (x.T @ bases) / (coefficients @ bases.T @ bases + 1e-6)
        bases = bases * (x @ coefficients) / (bases @ coefficients.T @ coefficients + 1e-6)
    coefficients = coefficients * (x.T @ bases) / (coefficients @ bases.T @ bases + 1e-6)
    return bases @ coefficients.T


@pytest.mark.parametrize(("training", "steps"), [(False, 5), (True, 2)])
def test_updates(training, steps):
    layer = NMF(6, rank=3, train_steps=2, eval_steps=5).double().train(training)
    x = normal_map(2, 6, 4, 5)
    bases = layer.bases.repeat(2, 1, 1, 1)
    if training:
        torch.manual_seed(5)
        bases = torch.rand(2, 1, 6, 3)
        torch.manual_seed(5)
    expected = [factorised(x[i].flatten(1).numpy(), bases[i, 0].double().numpy(), steps) for i in range(2)]
    np.testing.assert_allclose(layer(x).detach().flatten(2).numpy(), np.stack(expected), rtol=1e-9)


def test_groups_are_factorised_apart():
    both = NMF(8, rank=2, groups=2).double().eval()
    x = normal_map(1, 8, 5, 6)
    halves = []
    for group in range(2):
        layer = NMF(4, rank=2).double().eval()
        layer.bases = both.bases[:, group : group + 1]
        halves.append(layer(x[:, 4 * group : 4 * group + 4]))
    torch.testing.assert_close(both(x), torch.cat(halves, 1))


def test_more_updates_come_closer_to_the_map():
    x = normal_map(3, 12, 6, 7)
    errors = [(x - NMF(12, rank=4, eval_steps=steps).double().eval()(x)).square().mean() for steps in (1, 2, 4, 8, 50)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * errors[0]


def test_a_map_of_low_rank_is_kept():
    x = (torch.rand(1, 10, 2, dtype=torch.float64) @ torch.rand(1, 2, 30, dtype=torch.float64)).unflatten(2, (5, 6))
    assert (NMF(10, rank=2, eval_steps=3000).double().eval()(x) - x).abs().max() < 2e-3


def test_result_is_of_low_rank_and_not_negative():
    low_rank = NMF(12, rank=3).double().eval()(normal_map(2, 12, 6, 7))
    assert low_rank.min() >= 0
    singular = torch.linalg.svdvals(low_rank.flatten(2))
    assert (singular[:, 3:] < 1e-12 * singular[:, :1]).all()


def test_evaluation_depends_on_nothing_but_image_and_seed():
    layer, x = NMF(8).eval(), normal_map(3, 8, 5, 4, dtype=torch.float32)
    torch.manual_seed(1)
    first, state = layer(x), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(layer(x), first) and torch.equal(NMF(8).eval()(x), first)
    torch.testing.assert_close(layer(x[1:2]), first[1:2])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "nothing is drawn"
    assert not torch.allclose(NMF(8, seed=1).eval()(x), first)
    assert list(layer.state_dict()) == []


@pytest.mark.parametrize("layer", [NMF(8).train(), NMF(8, seed=None).eval()], ids=["training", "as published"])
def test_bases_are_drawn_anew_from_torch_random_numbers(layer):
    x = normal_map(1, 8, 5, 4, dtype=torch.float32).repeat(2, 1, 1, 1)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1]), "every image has its own"
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("training", [False, True])
def test_bases_do_not_depend_on_the_device(training):
    layer, x = NMF(32).train(training), normal_map(2, 32, 9, 8, dtype=torch.float32)
    torch.manual_seed(3)
    expected = layer(x)
    torch.manual_seed(3)
    torch.testing.assert_close(layer.cuda()(x.cuda()).cpu(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    layer = NMF(16, rank=4).eval()
    x = 200 * normal_map(1, 16, 40, 40, dtype=torch.float32)  # inner products of it are beyond float16
    halved = layer(x.to(dtype))
    assert halved.dtype == dtype
    torch.testing.assert_close(halved, layer(x.to(dtype).float()).to(dtype))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x)
    assert torch.equal(mixed, layer(x))


def test_gradients():
    layer = NMF(4, rank=2, train_steps=3).double().train()
    x = normal_map(1, 4, 3, 3) + 0.1

    def call(x):
        torch.manual_seed(0)
        return layer(x)

    assert torch.autograd.gradcheck(call, x.requires_grad_())


def test_one_step_gradient_passes_the_last_update_only():
    x = (normal_map(2, 6, 4, 5) + 0.1).requires_grad_()
    cotangent = torch.randn_like(x)
    layer = NMF(6, rank=3, one_step_gradient=True).double().eval()
    (found,) = torch.autograd.grad(layer(x), x, cotangent)
    with torch.no_grad():
        longer = NMF(6, rank=3, eval_steps=7).double().eval()
        data = x.flatten(2)[:, None]
        bases = torch.nn.functional.normalize(longer.bases, dim=-2)
        coefficients = (data.mT @ bases).softmax(-1)
        for _ in range(7):
            coefficients = coefficients * (data.mT @ bases) / (coefficients @ (bases.mT @ bases) + 1e-6)
            bases = bases * (data @ coefficients) / (bases @ (coefficients.mT @ coefficients) + 1e-6)
    data = x.flatten(2)[:, None]
    last = coefficients * (data.mT @ bases) / (coefficients @ (bases.mT @ bases) + 1e-6)
    (expected,) = torch.autograd.grad((bases @ last.mT).flatten(), x, cotangent.flatten())
    torch.testing.assert_close(found, expected)
    (exact,) = torch.autograd.grad(NMF(6, rank=3).double().eval()(x), x, cotangent)
    assert not torch.allclose(found, exact)


def test_empty_maps_stay_empty_and_have_gradients():
    x = torch.zeros(1, 4, 3, 3, requires_grad=True)
    layer = NMF(4, rank=2)
    layer(x).sum().backward()
    assert not layer(x).any() and x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "must be at least 1 .*rank=0"),
        ({"eval_steps": 0}, "eval_steps=0"),
        ({"groups": 3}, "groups divide channels, got channels=8, .*groups=3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        NMF(8, **arguments)


def test_wrong_maps():
    for shape in ((1, 4, 3, 3), (8, 3, 3)):
        with pytest.raises(ValueError, match=rf"needs x \[B, 8, H, W\], got \({shape[0]}, "):
            NMF(8)(torch.zeros(shape))
