"""What every measurement stands on: the generator, the place of the stores, the options."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import Contender, Longshore, Running
from bench.generator import Generator
from bench.machine import CannotMeasure
from bench.tables import Table


@dataclass(frozen=True, slots=True)
class Section:
    """What one measurement found: tables to read, and the same and more for a program (values that JSON knows)."""

    tables: tuple[Table, ...]
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ground:
    """`stores`: a directory on a disk; every run gets a new one in it, which is gone afterwards."""

    generator: Generator
    stores: Path
    workers: int
    rounds: int
    peers: tuple[Contender, ...]

    @property
    def longshore(self) -> Longshore:
        return Longshore(self.workers)

    @property
    def contenders(self) -> dict[str, Contender]:
        """Longshore first."""
        return {contender.key: contender for contender in (self.longshore, *self.peers)}

    @contextlib.contextmanager
    def directory(self) -> Iterator[Path]:
        """A new, empty one. What earlier runs left to be written is written first: nobody pays for another's bytes."""
        place = Path(tempfile.mkdtemp(dir=self.stores))
        place.chmod(0o755)  # PostgreSQL runs as a user of its own
        os.sync()
        try:
            yield place
        finally:
            shutil.rmtree(place)

    @contextlib.contextmanager
    def run(self, contender: Contender, *, static: int = 0) -> Iterator[Running]:
        """A contender over a new store. What it logged is kept where it fails."""
        with self.directory() as place:
            directory = place / contender.key
            try:
                with contender.run(directory, static=static) as running:
                    yield running
            except CannotMeasure:
                log = directory / "server.log"
                if log.exists():
                    kept = self.stores / f"{contender.key}.log"
                    shutil.copyfile(log, kept)
                    say(f"its log is kept in {kept}")
                raise


def say(text: str) -> None:
    """Progress, beside the result on standard output."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
