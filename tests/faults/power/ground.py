"""A directory whose every change is journaled, and processes that work in it."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import require
from tests.faults.power import journal
from tests.faults.power.sites import TREE
from tests.live import LiveServer

SOURCE = Path(__file__).parent / "layer.c"


def build(place: Path) -> Path:
    """The layer; skips, or fails where faults are required, if there is no compiler."""
    compiler = require.need("faults", shutil.which("cc") or shutil.which("gcc"), "a C compiler (gcc)")
    made = place / "layer.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", made, SOURCE, "-ldl", "-lpthread"],
        check=True,
    )
    return made


@dataclass
class Acknowledged:
    """What a process in a ground said was done, and where the journal stood then."""

    at: int
    what: dict[str, Any]


@dataclass
class Ground:
    """`root` is what the journal tells of. Every ground is a boot of its own."""

    place: Path
    layer: Path
    acknowledged: list[Acknowledged] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = self.place.resolve()
        self.root.mkdir(parents=True)
        journal.make(self.journal)
        (self.place / "boot").write_text(f"{uuid.uuid4()}\n")

    @property
    def root(self) -> Path:
        return self.place / "disk"

    @property
    def journal(self) -> Path:
        return self.place / "journal"

    def position(self) -> int:
        return journal.position(self.journal)

    def environment(self, *, rule: str = "", slow: int = 0, checkpoint: int = 0) -> dict[str, str]:
        """`rule` and `slow` (microseconds) are the layer's; a checkpoint is due after so many transactions."""
        return {
            "LD_PRELOAD": str(self.layer),
            "POWER_ROOT": str(self.root),
            "POWER_JOURNAL": str(self.journal),
            "POWER_BOOT": str(self.place / "boot"),
            "POWER_SLOW": str(slow),
            **({"POWER_RULE": rule} if rule else {}),
            **({"POWER_CHECKPOINT": str(checkpoint)} if checkpoint else {}),
        }

    def run(self, function: str, *, rule: str = "", checkpoint: int = 0, status: int = 0) -> None:
        """A function of `tests.faults.power.steps`, which prints what it acknowledges."""
        step = f"tests.faults.power.steps:{function}"
        ended = subprocess.run(
            [sys.executable, "-m", "tests.faults.power.served", step, str(self.root)],
            cwd=TREE,
            env={**_kept(), **self.environment(rule=rule, checkpoint=checkpoint)},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == status, ended.stderr
        for line in ended.stdout.splitlines():
            said = json.loads(line)
            self.acknowledged.append(Acknowledged(said.pop("at"), said))


def _kept() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("LONGSHORE_", "AWS_", "POWER_"))}


class JournaledServer(LiveServer):
    """A server that works in a ground; everything that it keeps lies two directories below the ground's root."""

    def __init__(self, ground: Ground, *, checkpoint: int = 0, rule: str = "", slow: int = 0, **options: Any) -> None:
        super().__init__(ground.place, **options)
        self.data = ground.root / "made" / "data"
        self._ground = ground
        self._added = ground.environment(rule=rule, slow=slow, checkpoint=checkpoint)

    def command(self) -> list[str]:
        python, _, _, *rest = super().command()
        return [python, "-m", "tests.faults.power.served", "server.cli:main", *rest]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self._added}


class LaterServer(LiveServer):
    """A server on what a cut has left, after the machine was started again."""

    def __init__(self, place: Path, image: Path, layer: Path, **options: Any) -> None:
        super().__init__(place, **options)
        self.data = image / "made" / "data"
        self._layer = layer

    def environment(self) -> dict[str, str]:
        boot = self.directory / "boot"
        boot.write_text(f"{uuid.uuid4()}\n")
        return {**super().environment(), "LD_PRELOAD": str(self._layer), "POWER_BOOT": str(boot)}
