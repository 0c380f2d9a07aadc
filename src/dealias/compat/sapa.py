# SPDX-License-Identifier: Apache-2.0
"""SAPA (NeurIPS 2022, arXiv:2209.12866) under its published names, signatures and state-dict keys."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .. import fusion
from ..fusion.sapa import small_linear
from .naming import alias, publish_names

_SIMILARITIES = {"encoder_only": "bilinear", "cat": "concat", "gate": "gated"}

_NAMES = {
    "norm_hr": "norm_y",
    "norm_lr": "norm_x",
    "query": "q",
    "query_hr": "qy",
    "query_lr": "qx",
    "key": "k",
    "value": "v",
}


class SAPAExp(fusion.SAPA):
    """The published experimental module: ``forward(y, x)``, y fine and x coarse, both [B, C, H, W].

    Args:
        dim_y: channels of y.
        dim_x: channels of x; ``None``: those of y.
        out_dim: channels of the result; ``None``: those of x. Others need the value's embedding, which is then made.
        q_mode: what the queries see: ``"encoder_only"`` (y), ``"cat"`` (y and x) or ``"gate"`` (a gated mixture).
        v_embed: embed the values.
        up_factor: ratio of sizes.
        up_kernel_size: side of the window, odd.
        embedding_dim: channels of queries and keys.
        qkv_bias: biases in the linear maps.
        norm: makes the norms over the last dimension from a number of channels.

    Raises:
        ValueError: an unknown ``q_mode``, or an even window.
    """

    norm_hr, norm_lr = alias("norm_y"), alias("norm_x")
    query, query_hr, query_lr = alias("q"), alias("qy"), alias("qx")
    key, value = alias("k"), alias("v")

    def __init__(
        self,
        dim_y: int,
        dim_x: int | None = None,
        out_dim: int | None = None,
        q_mode: str = "encoder_only",
        v_embed: bool = False,
        up_factor: int = 2,
        up_kernel_size: int = 5,
        embedding_dim: int = 64,
        qkv_bias: bool = True,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
    ) -> None:
        if q_mode not in _SIMILARITIES:
            raise ValueError(f"SAPAExp: q_mode must be one of {', '.join(_SIMILARITIES)}; got {q_mode!r}")
        dim_x = dim_y if dim_x is None else dim_x
        out_dim = dim_x if out_dim is None else out_dim
        super().__init__(
            dim_y,
            dim_x,
            kernel_size=up_kernel_size,
            embedding_channels=embedding_dim,
            similarity=_SIMILARITIES[q_mode],
            embed_value=v_embed or out_dim != dim_x,
            bias=qkv_bias,
            scale=up_factor,
        )
        publish_names(self, _NAMES)
        self.norm_y, self.norm_x = norm(dim_y), norm(dim_x)
        if out_dim != dim_x:
            self.v = small_linear(dim_x, out_dim, qkv_bias)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]  # the published call returns one map
        """Upsample x [B, dim_x, h, w] guided by y [B, dim_y, h*up_factor, w*up_factor]: [B, out_dim, *y's size]."""
        return super().forward(y, x)[1]


class SAPA(SAPAExp):
    """The published module: ``forward(y, x)``, y fine and x coarse, both [B, C, H, W].

    Args:
        dim_y: channels of y.
        dim_x: channels of x; ``None``: those of y.
        up_factor: ratio of sizes.
        up_kernel_size: side of the window, odd.
        embedding_dim: channels of queries and keys.
        qkv_bias: biases in the linear maps.
        norm: makes the norms over the last dimension from a number of channels.
    """

    def __init__(
        self,
        dim_y: int,
        dim_x: int | None = None,
        up_factor: int = 2,
        up_kernel_size: int = 5,
        embedding_dim: int = 64,
        qkv_bias: bool = True,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
    ) -> None:
        super().__init__(
            dim_y,
            dim_x,
            up_factor=up_factor,
            up_kernel_size=up_kernel_size,
            embedding_dim=embedding_dim,
            qkv_bias=qkv_bias,
            norm=norm,
        )
