"""What is measured, in which unit, and what Longshore aims for."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["per_second", "mb_per_second"]

LABELS = {
    "longshore": "Longshore",
    "distribution": "distribution 3",
    "debian": "distribution 2 (Debian)",
    "nginx": "nginx",
    "olareg": "olareg",
    "zot": "zot",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table: one figure of what a scenario prints, and the wanted ratio to each peer that has one."""

    name: str
    title: str
    unit: Unit
    targets: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario of the load generator. `operations` None: the generator's own number.

    `static` is what a server of static files plays beside it: that many bytes a file; 0 for nothing.
    """

    name: str
    operations: int | None
    figures: tuple[Figure, ...]
    static: int = 0


def _rate(name: str, title: str, **targets: float) -> Figure:
    return Figure(name, title, "per_second", tuple(targets.items()))


def _bytes(name: str, **targets: float) -> Figure:
    return Figure(name, f"{name}, MB/s", "mb_per_second", tuple(targets.items()))


MIB = 1 << 20

SCENARIOS = (
    Scenario("image-push", 600, (_rate("image-push", "image-push, images/s", distribution=5, olareg=1),)),
    Scenario("image-pull", 3000, (_rate("image-pull", "image-pull, images/s", distribution=4, olareg=1),)),
    Scenario("manifest-get", 20000, (_rate("manifest-get", "manifest-get, /s", distribution=2.5, olareg=4),)),
    Scenario("manifest-head", 20000, (_rate("manifest-head", "manifest-head, /s", distribution=2.5, olareg=4),)),
    Scenario("push-10m", 100, (_bytes("push-10m", distribution=2, zot=1.5),)),
    Scenario("push-100m", 16, (_bytes("push-100m", distribution=2, zot=1.5),)),
    Scenario("pull-10m", 400, (_bytes("pull-10m", distribution=1.5, nginx=0.95),), static=10 * MIB),
    Scenario("pull-100m", 40, (_bytes("pull-100m", distribution=1.5, nginx=0.95),), static=100 * MIB),
    Scenario(
        "tags-2000",
        None,
        (
            _rate("tags-2000-page", "tags-2000: pages of 100, /s", distribution=4),
            _rate("tags-2000-one", "tags-2000: one tag, /s", distribution=2.5),
        ),
    ),
)

SHARED_SCENARIOS = (
    Scenario("image-push", 600, (_rate("image-push", "image-push, images/s", sqlite=0.6),)),
    Scenario("manifest-get", 20000, (_rate("manifest-get", "manifest-get, /s", sqlite=0.6),)),
)
"""On PostgreSQL, held against SQLite."""

MEMORY_MB = 150.0
"""Peak resident memory of a worker with eight pushes of 1 GB under way stays below."""
START_SECONDS = 1.0
"""From the start of the process to the first answer of /readyz on a store of a million manifests."""
FLAT = 1 / 1.3
"""The rate with many of something to the rate with the fewest: what still counts as flat."""
COLLECTING = 0.8
"""The rate of pushes while garbage is collected to the rate while none is."""
MEDIAN_MICROSECONDS = 10.0
P99_MICROSECONDS = 20.0
"""Of a decision by ten policies of ten statements."""
AUTHORIZED = 0.9
"""The rate of an IAM user with so many statements to the root user's."""
