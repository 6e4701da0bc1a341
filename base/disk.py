"""What makes names of a file system survive a power cut: a file's own flush says nothing of the directory that it is in."""

import os
from pathlib import Path


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
