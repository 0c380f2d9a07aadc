# SPDX-License-Identifier: Apache-2.0
"""A reader with its good files, and what it makes of damaged ones."""

import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation import mutate_bytes
from trees import CHANGES

Files = Sequence[Path]


@dataclass(frozen=True)
class Reader:
    """``write`` fills an empty folder and gives the files to damage, ``read`` reads a folder, given the damaged one."""

    write: Callable[[Path], Files]
    read: Callable[[Path, Path], object]


class Target:
    """A reader with its good files in a folder; mutant ``number`` is always the same."""

    def __init__(self, name: str, reader: Reader, folder: Path) -> None:
        self.name, self.folder, self.reader = name, folder, reader
        self.files = list(self.reader.write(folder))
        self.good = {file: file.read_bytes() for file in self.files}

    def mutant(self, number: int) -> tuple[Path, bytes]:
        """The damaged file and its content."""
        draw = random.Random(f"{self.name} {number}")
        file = draw.choice(self.files)
        if draw.random() < 0.6 and (change := CHANGES.get(file.suffix)):
            return file, change(self.good[file], draw)
        return file, mutate_bytes(self.good[file], draw)

    def run(self, number: int) -> str:
        """Read mutant ``number``; ``good``, ``refused``, or what is wrong with how it was refused."""
        file, content = self.mutant(number)
        file.write_bytes(content)
        try:
            return self.read(file)
        finally:
            file.write_bytes(self.good[file])

    def read(self, file: Path) -> str:
        """Read the folder as it is."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.reader.read(self.folder, file)
        except (ValueError, OSError) as error:
            named = str(self.folder) in str(error)
            return "refused" if named else f"names no file: {type(error).__name__}: {str(error)[:300]}"
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:300]}"
        return "good"
