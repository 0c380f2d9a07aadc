# SPDX-License-Identifier: Apache-2.0
"""From a saliency map to sampling coordinates that crowd where it is high (SFM, arXiv:2507.11893).

    u(p) = sum_q S(q) k(p - q) q / sum_q S(q) k(p - q)

is the centre of mass of S as seen through a Gaussian k. It is the gradient of the convex function
sigma² log sum_q S(q) exp((p·q - |q|²/2) / sigma²), so that its Jacobian is the covariance of q under the same weights
over sigma²: symmetric and positive definite, whatever S.
"""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor

from .gaussian import gaussian_moments, gaussian_window

_FLOOR = 1e-12
"""What counts as no saliency, as a share of the highest one: where all of a window lies below, nothing moves."""


@overload
def saliency_map(
    saliency: Tensor,
    sigma: float | Tensor | None = None,
    fwhm: float | None = None,
    window: int | None = None,
    jacobian: Literal[False] = False,
) -> Tensor: ...


@overload
def saliency_map(
    saliency: Tensor,
    sigma: float | Tensor | None = None,
    fwhm: float | None = None,
    window: int | None = None,
    *,
    jacobian: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def saliency_map(
    saliency: Tensor,
    sigma: float | Tensor | None = None,
    fwhm: float | None = None,
    window: int | None = None,
    jacobian: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Where each pixel of the warped grid looks in the source grid, which has the same size (SFM, arXiv:2507.11893).

    Along every row u_x grows, along every column u_y, with any window; scaling ``saliency`` changes nothing.

    Border: the saliency is reflected at the outermost pixels, without repeating them and as often as needed, while the
    coordinates go on outside. By symmetry the border then stays on the border, exactly, and moves only along itself;
    corners stay where they are, and the warped grid covers the whole source. The published code holds border pixels in
    place along both axes: next to neighbours that move this shears the outermost cells and can fold them.

    Args:
        saliency: S, [B, 1, H, W], not negative and not all zero, floating point; H and W at least 1. Without a host
            synchronisation values cannot be checked.
        sigma: of k, pixels, above 0. Gradients reach a tensor [].
        fwhm: the full width at half maximum of k instead, pixels. With neither, the published 3 (sigma 1.274).
        window: side of the square that k is cut off to, odd, at least 3; by default the smallest of at least
            8 sigma + 1, and 11 for the published width. Reading it off a tensor ``sigma`` synchronises with the device.
        jacobian: return the Jacobian too.

    Returns:
        u, [B, 2, H, W], (x, y) in pixels, x in 0..W-1 and y in 0..H-1. With ``jacobian`` also J, [B, 2, 2, H, W],
        ``J[:, i, j]`` the derivative of coordinate i by place j of the untruncated sum, symmetric; J of a constant S is
        the identity up to what the window cuts off (0.1 % for the default ones). Both float32, or float64 like the
        input, from moments in float64: sums of S over a window may cancel down to the last digits of float32.

    Raises:
        ValueError: ``saliency`` is not such a map, or the width or window is out of range.

    >>> u = saliency_map(torch.tensor([[[[1.0, 1.0, 9.0, 1.0, 1.0]]]]), sigma=1.0)
    >>> u[0, 0, 0]
    tensor([0.0000, 1.6157, 2.0000, 2.3843, 4.0000])
    """
    if saliency.ndim != 4 or saliency.shape[1] != 1 or not saliency.is_floating_point() or 0 in saliency.shape[2:]:
        raise ValueError(
            f"saliency_map: saliency must be floating [B, 1, H, W], H and W at least 1, "
            f"got {saliency.dtype} {tuple(saliency.shape)}"
        )
    sigma, window = gaussian_window(sigma, fwhm, window, "saliency_map")
    device = saliency.device.type
    if device != "meta" and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return _saliency_map(saliency, sigma, window, jacobian)
    return _saliency_map(saliency, sigma, window, jacobian)


def _saliency_map(
    saliency: Tensor, sigma: float | Tensor, window: int, jacobian: bool
) -> Tensor | tuple[Tensor, Tensor]:
    dtype = torch.promote_types(saliency.dtype, torch.float32)
    moments = _moments(saliency, sigma, window, 3 if jacobian else 2)
    mass = moments[0][0]
    shift_x, shift_y = moments[0][1] / mass, moments[1][0] / mass
    height, width = saliency.shape[2:]
    across = torch.arange(width, device=mass.device, dtype=mass.dtype)
    down = torch.arange(height, device=mass.device, dtype=mass.dtype)[:, None]
    u = torch.stack([across + shift_x, down + shift_y], dim=1).to(dtype)
    if not jacobian:
        return u
    xx = moments[0][2] / mass - shift_x**2
    xy = moments[1][1] / mass - shift_x * shift_y
    yy = moments[2][0] / mass - shift_y**2
    covariance = torch.stack([xx, xy, xy, yy], dim=1).unflatten(1, (2, 2))
    return u, (covariance / sigma**2).to(dtype)


def _moments(saliency: Tensor, sigma: float | Tensor, window: int, orders: int) -> list[tuple[Tensor, ...]]:
    """``moments[i][j]`` = sum_q S(q) k(p - q) (q_y - p_y)^i (q_x - p_x)^j, [B, H, W]."""
    height, width = saliency.shape[2:]
    wide = saliency[:, 0].to(torch.float32 if saliency.device.type == "mps" else torch.float64)
    wide = wide + _FLOOR * wide.detach().amax(dim=(1, 2), keepdim=True)
    rows = gaussian_moments(height, sigma, window, orders, wide)
    columns = gaussian_moments(width, sigma, window, orders, wide)
    products = rows @ (wide @ columns.T)
    return [row.split(width, dim=2) for row in products.split(height, dim=1)]
