"""An exclusive lock on a file, held by one process and released by the system when that process dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, busy: Exception | None = None) -> Iterator[None]:
    """Hold the lock at `path`; wait for it, or raise `busy` at once when another process has it.

    The file may be one that is written to meanwhile: only those who ask for the lock are kept out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            _acquire(handle, wait=busy is None)
        except OSError:
            if busy is None:
                raise
            raise busy from None
        yield
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 40

    def _acquire(handle: int, *, wait: bool) -> None:
        os.lseek(handle, FAR, os.SEEK_SET)  # here a locked byte cannot be read or written: one that no file has
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(handle: int, *, wait: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
