# SPDX-License-Identifier: Apache-2.0
"""Classes of known data sets, and the ids that their label maps may hold beside them."""

from __future__ import annotations

from dealias.data.camvid import CLASSES, VOID

PRESETS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "camvid": (tuple(CLASSES), (VOID, 255)),
}
