# SPDX-License-Identifier: Apache-2.0
"""Classes of known data sets, and the ids that their label maps may hold beside them."""

from __future__ import annotations

from dealias.data import camvid

PRESETS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "camvid": (tuple(camvid._CLASSES), (camvid._VOID, 255)),
}
