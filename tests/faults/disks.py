"""Small file systems to fill up."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests import require

KINDS = ("ext4", "tmpfs")
WHAT = "a file system that this user may mount (root, as for dockerd)"


@contextlib.contextmanager
def small_disk(kind: str, where: Path, *, mib: int) -> Iterator[Path]:
    """A mounted file system of so many MiB; skips, or fails where docker is required, if this user may not mount one."""
    place = where / f"disk-{kind}"
    place.mkdir(parents=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        require.missing("docker", WHAT)
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "longshore-test", str(place)]
    else:
        image = where / "disk.img"
        with image.open("wb") as file:
            file.truncate(mib * 1024 * 1024)
        # no blocks are kept for root: full means full
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True, capture_output=True)
        command = ["mount", "-o", "loop", str(image), str(place)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        require.missing("docker", f"{WHAT}: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True, capture_output=True)


def free(place: Path) -> int:
    """Bytes that can still be written."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


class Ballast:
    """A file that takes the room, and gives it back."""

    def __init__(self, place: Path) -> None:
        self._path = place / "ballast"

    def take(self, size: int) -> None:
        """Take so many bytes."""
        self.leave(free(self._path.parent) - size)

    def leave(self, size: int) -> None:
        """Take all but about `size` bytes."""
        with self._path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while (over := free(self._path.parent) - size) > 0:
                file.write(b"\xff" * min(over, 1 << 20))

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)
