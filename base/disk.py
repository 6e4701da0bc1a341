"""What makes bytes and names of a file system survive a power cut.

A file's own flush says nothing of the directory that it is in. And a flush that succeeds says nothing if one before it
failed: the kernel says once that it could not write, then forgets it, and may drop the bytes. So a file whose flush failed
is marked, by a bit of its mode, which every process sees and which lives as long as what it warns of.
"""

import contextlib
import os
import stat
from pathlib import Path

_DOUBTFUL = stat.S_IXUSR


class Doubtful(OSError):
    """The disk has failed to write some of a file's bytes: which, nobody knows."""


def sync_file(descriptor: int) -> None:
    """Make a file's bytes durable. Raises Doubtful where that has failed before, in any process; OSError."""
    try:
        os.fdatasync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, _mode(descriptor) | _DOUBTFUL)
        raise
    if is_doubtful(descriptor):
        raise Doubtful("the disk has failed to write some of these bytes")


def is_doubtful(descriptor: int) -> bool:
    """Whether a flush of the file has failed."""
    return bool(_mode(descriptor) & _DOUBTFUL)


def trust_again(descriptor: int) -> None:
    """All that was doubtful is gone from the file."""
    os.fchmod(descriptor, _mode(descriptor) & ~_DOUBTFUL)


def _mode(descriptor: int) -> int:
    return stat.S_IMODE(os.fstat(descriptor).st_mode)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path, *, mode: int = 0o777) -> None:
    """Make a directory, and what is missing above it, so that it is there after a power cut. Raises OSError."""
    missing = [one for one in path.parents if not one.exists()]
    for one in (*reversed(missing), path):
        there = one.exists()  # made by us, perhaps, by a start that came no further than here
        one.mkdir(mode=mode, exist_ok=True)
        try:
            sync_directory(one.parent)
        except PermissionError:
            if not there:
                raise
