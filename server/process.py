"""What runs here, and what a process takes of the machine: for the metrics."""

import os
import platform
import resource
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_FILES = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")
_ENOUGH = 65_536


def build() -> tuple[str, str]:
    """(version of Longshore, version of Python)."""
    try:
        ours = version("longshore")
    except PackageNotFoundError:  # run from its source
        ours = "source"
    return ours, platform.python_version()


def raise_limit() -> int:
    """Have as many files and connections as the system lets us; returns how many. Many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, _ENOUGH) if hard != resource.RLIM_INFINITY else _ENOUGH
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return min(soft, _ENOUGH) if soft != resource.RLIM_INFINITY else _ENOUGH
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def usage() -> dict[str, float]:
    """The metrics `worker_...` of this process that change; without those that the system does not tell."""
    found = {"worker_cpu_seconds": time.process_time()}
    try:
        found["worker_resident_bytes"] = float(int(_MEMORY.read_text().split()[1]) * resource.getpagesize())
        found["worker_open_files"] = float(len(os.listdir(_FILES)))
    except OSError:
        pass
    found["worker_most_files"] = float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return found
