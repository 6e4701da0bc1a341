"""Where the real parts stand: the programs of Debian's packages, and those that `install` built from `pins`."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Part:
    """A row of `pins`."""

    name: str
    version: str
    files: tuple[str, ...]


def pins() -> dict[str, Part]:
    rows = (line.split() for line in (HERE / "pins").read_text().splitlines())
    return {
        name: Part(name, version, tuple(files.split(",")))
        for _, _, name, version, files, _ in (row for row in rows if row and not row[0].startswith("#"))
    }


def directory() -> Path:
    """The same choice as the script's."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("LONGSHORE_PARTS") or cache / "longshore-parts")


def built(name: str, file: str | None = None) -> Path | None:
    """The program `file` (default: the first) of a built part at its pinned version, or None when it was not built.

    Raises KeyError for a part that `pins` does not know.
    """
    part = pins()[name]
    program = directory() / name / part.version / (file or part.files[0])
    return program if os.access(program, os.X_OK) else None


def system(program: str) -> Path | None:
    """A program of the system's packages, whatever else PATH may put before it; None when it is not installed."""
    found = shutil.which(program, path=SYSTEM_PATH)
    return Path(found) if found else None
