# SPDX-License-Identifier: Apache-2.0
"""``metrics.csv``: all that a run logged, whole also when the run was killed and resumed."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from dealias._files import telling_free_space, write_text


class HistoryLogger(Logger):
    """Lightning logger that writes one row per logged step to ``metrics.csv`` in a folder, at once.

    A column per name, in alphabetical order after ``step``; empty where a step did not log that name. If the file
    exists, its rows are continued: those at and after the first step that is logged now are dropped, since a resumed
    run logs them again.

    Args:
        folder: where ``metrics.csv`` is.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._columns: list[str] = []

    @property
    def name(self) -> str:
        """Of the logger."""
        return "history"

    @property
    def version(self) -> str:
        """There is one per folder."""
        return ""

    @property
    def log_dir(self) -> str:
        """The folder of the file."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run's ``config.yaml`` has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write a row.

        Raises:
            ValueError: the step is not given.
        """
        if step is None:
            raise ValueError(f"metrics need their step, got {dict(metrics)}")
        row = _row(metrics, step)
        if set(row) <= set(self._columns):
            with telling_free_space(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_csv([row], self._columns))
        else:
            self._add_columns(row)

    @rank_zero_only
    def restore(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the row of a step that is resumed from, unless the file has it, perhaps with more columns."""
        wanted = {name: str(value) for name, value in _row(metrics, step).items()}
        if not any(wanted.items() <= row.items() for row in _read(self.path)):
            self.log_metrics(metrics, step)

    def _add_columns(self, row: dict[str, Any]) -> None:
        """Write the whole file with the columns that ``row`` needs; the first time, without what is logged again."""
        rows = _read(self.path)
        if not self._columns:
            rows = [earlier for earlier in rows if int(earlier["step"]) < row["step"]]
        rows.append(row)
        self._columns = ["step", *sorted({name for some in rows for name in some} - {"step"})]
        write_text(self.path, _csv([dict(zip(self._columns, self._columns, strict=True)), *rows], self._columns))


def _row(metrics: Mapping[str, float], step: int) -> dict[str, Any]:
    return {"step": step, **{name: float(value) for name, value in metrics.items()}}


def _csv(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # on a disk that was full, the last row may end anywhere
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(io.StringIO(whole))]
        wrong = [row for row in rows if None in row or not row.get("step", "").isdecimal()]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be continued: {error}") from error
    if wrong:
        raise ValueError(f"{path}: cannot be continued: expected a step and values below the columns, got {wrong[0]}")
    return rows
