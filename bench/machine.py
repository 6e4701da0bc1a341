"""The machine that measures: its disk, its processes, its description. Linux, by /proc."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"})


class CannotMeasure(Exception):
    """Something that a measurement needs is not there, or a server failed under it; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on."""

    processor: str
    cores: int
    memory_gb: float
    file_system: str
    kernel: str
    python: str
    load_average: float
    """Of the minute before the first measurement."""

    @property
    def idle(self) -> bool:
        """Whether little else ran: figures of a busy machine mean nothing."""
        return self.load_average < 0.25 * self.cores

    @property
    def text(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gb:.0f} GB, store on {self.file_system}, "
            f"{self.kernel}, Python {self.python}"
        )


def cache_directory() -> Path:
    """For what is built or stored while measuring, outside of the tree."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longshore-bench"


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path` (absolute), from the text of /proc/self/mountinfo (proc(5))."""
    best, found = -1, "unknown"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))  # a space is written \040
        # of two mounts at one place the later hides the earlier
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), after.split()[0]
    return found


def check_store(directory: Path, *, needed: int) -> str:
    """The type of the store's file system. Raises CannotMeasure for one in memory, and below `needed` bytes of room."""
    directory.mkdir(parents=True, exist_ok=True)
    kind = file_system_of(directory.resolve(), Path("/proc/self/mountinfo").read_text())
    if kind in MEMORY_FILE_SYSTEMS:
        raise CannotMeasure(
            f"{directory} is on {kind}, in memory, where a sync costs nothing: name a directory on a disk with --store"
        )
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise CannotMeasure(
            f"{directory} has {free / 1e9:.1f} GB of room, {needed / 1e9:.1f} GB are needed: name another with --store"
        )
    return kind


def describe(file_system: str) -> Machine:
    information = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in information.splitlines() if line.startswith("model name")]
    return Machine(
        processor=models[0] if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9,
        file_system=file_system,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load_average=os.getloadavg()[0],
    )


def family(pid: int) -> list[int]:
    """A process and all its descendants, itself first."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # it has ended
                continue
            yield int(entry.name), int(stat.rpartition(")")[2].split()[1])


def peak_memory(status: str) -> float:
    """The peak of resident memory in MB (millions of bytes), from the text of /proc/PID/status; 0 where it is not given."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def peak_memory_of(pid: int) -> float:
    return peak_memory(Path(f"/proc/{pid}/status").read_text())


def forget(path: Path) -> None:
    """Drop what the page cache holds of a file, so that the next reader finds it on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
