# SPDX-License-Identifier: Apache-2.0
"""What stopped a run, said so that its user can go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.distributed import DistError

from dealias._files import lack_of_space, telling_free_space

_GLOO = "gloo/transport"
_LOST_READERS = ("DataLoader worker (pid", "DataLoader timed out")


@contextmanager
def telling_what_stopped(last: Path) -> Iterator[None]:
    """Add to errors of a training what to do about them, and how to resume it.

    Args:
        last: the checkpoint that the training keeps up to date.

    Raises:
        FloatingPointError: the loss became nan or infinite.
        OSError: the disk is full.
        ConnectionError: another process of the training has ended, or cannot be reached.
        ChildProcessError: a process that reads samples was killed, or gives none.
    """
    try:
        with telling_free_space(last.parent.parent):
            yield
    except FloatingPointError as error:
        kept = f"the last good checkpoint is {last}" if last.is_file() else how_to_resume(last)
        raise FloatingPointError(f"{error}; {kept}") from error
    except OSError as error:
        if lack_of_space(error) is None:
            raise
        raise OSError(f"{error}; {how_to_resume(last)}") from error
    except RuntimeError as error:
        found = str(error).partition("\n")[0].rstrip(" .")
        if isinstance(error, DistError) or _GLOO in found:
            raise ConnectionError(f"another process of this run has ended ({found}); {how_to_resume(last)}") from error
        if not found.startswith(_LOST_READERS):
            raise
        raise ChildProcessError(
            f"{found}. That process read samples; it is lost when memory, or /dev/shm, runs out: lower data.workers, "
            f"data.batch_size or the size of the images; {how_to_resume(last)}"
        ) from error


def how_to_resume(last: Path) -> str:
    """The argument that resumes a run which keeps the checkpoint ``last``."""
    return f"resume with --ckpt_path {last}" if last.is_file() else "there is no checkpoint yet"
