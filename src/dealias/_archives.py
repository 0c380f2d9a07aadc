# SPDX-License-Identifier: Apache-2.0
"""Zip archives, as torch's files are, that anybody may have written: refused if they would grow when they are read."""

from __future__ import annotations

import zipfile
from pathlib import Path


def check_archive(path: str | Path) -> None:
    """Refuse a zip archive whose contents are larger than the file: torch stores them as they are, one after the other.

    Files that are no archives pass.

    Raises:
        ValueError: contents are compressed, or lie upon each other.
        zipfile.BadZipFile: the archive is damaged; other damage can raise nearly anything.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        contents = archive.infolist()
    if any(content.compress_type != zipfile.ZIP_STORED for content in contents):
        raise ValueError("its contents are compressed, which those of checkpoints are not")
    total, size = sum(content.file_size for content in contents), Path(path).stat().st_size
    if total > size:
        raise ValueError(f"its contents would have {total} bytes, the file has {size}")
