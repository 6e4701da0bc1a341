"""Durable names and bytes."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from base.disk import Doubtful, is_doubtful, make_directories, sync_file, trust_again


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    yield opened
    os.close(opened)


def fail(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_flush_that_failed_is_known_to_whoever_opens_the_file(descriptor: int, monkeypatch: pytest.MonkeyPatch):
    sync_file(descriptor)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            sync_file(descriptor)
    other = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
    try:
        for one in (descriptor, other):
            assert is_doubtful(one)
            with pytest.raises(Doubtful):
                sync_file(one)
        trust_again(other)
    finally:
        os.close(other)
    sync_file(descriptor)
    assert os.fstat(descriptor).st_mode & 0o777 == 0o600


def test_directories_are_made_from_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced = []
    monkeypatch.setattr("base.disk.sync_directory", synced.append)
    for _ in range(2):
        make_directories(tmp_path / "a" / "b" / "c", mode=0o700)
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b"]
    assert (tmp_path / "a" / "b" / "c").is_dir()
