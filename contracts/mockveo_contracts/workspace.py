"""The temporary directory of a run, and those that runs have left behind which were killed."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

#: The start of the directories' names.
PREFIX: Final = "mockveo-check-"
#: A file that the run keeps locked as long as it lives, however it ends.
LOCK: Final = "lock"
#: Directories that are looked at. Arbitrary: bounds the start of a run, and the next one goes on.
MAX_LEFT: Final = 100


@contextmanager
def workspace() -> Iterator[Path]:
    """Make a temporary directory, and remove it at the end; first remove those of runs that were killed."""
    remove_left()
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(path / f"{LOCK}.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # It gets its name once it is locked: a run that starts meanwhile must not take this one for dead.
        _lock(lock)
        (path / f"{LOCK}.new").rename(path / LOCK)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_left() -> None:
    """Remove the directories of runs of ours that live no more."""
    if sys.platform == "win32":
        return  # there a lock is another's, and a file in use cannot be removed
    left = sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))[:MAX_LEFT]
    for path in filter(_is_ours, left):
        with suppress(OSError):
            # Without the file it may be a directory that is just being made.
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if _lock(lock):
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _lock(descriptor: int) -> bool:
    """Lock a file; return whether it was free. A lock ends with its process, and children do not inherit it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_ours(path: Path) -> bool:
    """Return whether a path is a directory of this user, and no link, that no other user may write to."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
