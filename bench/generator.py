"""The load generator: built when it is needed, run, and its lines read."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.contenders import REPOSITORY, Running
from bench.machine import CannotMeasure, cache_directory

SOURCES = Path(__file__).parent / "load"
TIMEOUT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Result:
    """A line of the load generator: rates of one figure, the server's CPU seconds and the peak of its memory."""

    figure: str
    operations: int
    at_once: int
    errors: int
    first_error: str
    seconds: float
    per_second: float
    mb_per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu_seconds: float
    server_peak_mb: float

    @property
    def cpu_ms(self) -> float:
        """CPU time of the server for one operation, in milliseconds."""
        return self.server_cpu_seconds * 1000 / self.operations

    def named(self, figure: str) -> "Result":
        """The same under another name: what a server of static files did beside a figure."""
        return replace(self, figure=figure)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def parse_results(text: str) -> list[Result]:
    """Raises ValueError for a line that the generator does not print."""
    results = []
    for line in text.splitlines():
        row = json.loads(line)
        if not isinstance(row, dict) or set(row) != {field.name for field in fields(Result)}:
            raise ValueError(f"not a line of the load generator: {line}")
        results.append(Result(**row))
    return results


def build() -> Path:
    """The generator's program, built from the sources beside this file and kept until they change."""
    sources = sorted([*SOURCES.glob("*.go"), SOURCES / "go.mod"])
    identity = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    program = cache_directory() / f"load-{identity}"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise CannotMeasure("the load generator is built with the Go toolchain (1.22 or later): put `go` on PATH")
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [go, "build", "-trimpath", "-buildvcs=false", "-o", str(unfinished), "."],
        cwd=SOURCES,
        env={**os.environ, "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotMeasure(f"the load generator could not be built: {done.stderr.strip()}")
    unfinished.rename(program)
    return program


@dataclass(frozen=True, slots=True)
class Generator:
    """Plays scenarios against a server. `operations`, where given, replaces every scenario's own number."""

    program: Path
    operations: int | None = None
    repository: str = REPOSITORY

    def command(
        self, server: Running, scenarios: Sequence[str], *, operations: int | None = None, at_once: int = 8
    ) -> list[str]:
        number = self.operations or operations
        return [
            str(self.program), "-url", server.url, "-repo", self.repository, "-c", str(at_once),
            *(("-user", server.user, "-pass", server.password) if server.user else ()),
            *(("-pid", str(server.pid)) if server.pid else ()),
            *(("-n", str(number)) if number else ()),
            "-scenario", ",".join(scenarios),
        ]  # fmt: skip

    def play(
        self, server: Running, scenarios: Sequence[str], *, operations: int | None = None, at_once: int = 8
    ) -> list[Result]:
        """Raises CannotMeasure where a scenario could not be prepared; operations that fail are counted in the result."""
        return self.read(self.command(server, scenarios, operations=operations, at_once=at_once))

    def read(self, command: Sequence[str]) -> list[Result]:
        """Runs a command that ends in one of `command`, and reads its lines."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            raise CannotMeasure(f"the load generator was not done after {TIMEOUT_SECONDS} s") from None
        if done.returncode:
            raise CannotMeasure(done.stderr.strip() or f"the load generator ended with status {done.returncode}")
        return parse_results(done.stdout)

    def warm_up(self, server: Running) -> None:
        """What a server does once (first connections, first files) is left out of the figures."""
        Generator(self.program).play(server, ["manifest-get"], operations=200)
