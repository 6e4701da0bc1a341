"""What pushers were told, and when: what a disk has to hold after a cut at any moment."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.load import Begun, Key, Ledger

Value = bytes | str | None


@dataclass
class Change:
    """Asked for when the journal stood at `begun`, acknowledged before it stood at `ended`."""

    begun: int
    ended: int
    values: dict[Key, Value]


@dataclass
class Session:
    """An upload that stood at `received` bytes from `at` on, for all that its client knows."""

    at: int
    location: str
    received: int
    data: bytes


@dataclass
class History(Ledger):
    """A ledger that remembers every entry."""

    position: Callable[[], int] = lambda: 0
    changes: list[Change] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    asked: int = 0

    def ask(self, changes: dict[Key, Value]) -> None:
        self.asked = self.position()
        super().ask(changes)

    def advance(self, begun: Begun) -> None:
        super().advance(begun)
        self.sessions.append(Session(self.position(), begun.location, begun.acknowledged, begun.data))

    def settle(self, *, happened: bool) -> None:
        if happened:
            self.changes.append(Change(self.asked, self.position(), dict(self.under_way)))
        super().settle(happened=happened)

    def at(self, cut: int) -> tuple[dict[Key, Value], dict[Key, Value]]:
        """(what has to be there, what may have replaced some of it: all of that, or nothing)."""
        held: dict[Key, Value] = {}
        for change in self.changes:
            if change.ended <= cut:
                held.update(change.values)
            elif change.begun < cut:
                return held, change.values
        return held, {}

    def open_at(self, cut: int) -> list[Session]:
        """The last state of each upload that was ever begun before the cut."""
        found = {session.location: session for session in self.sessions if session.at <= cut}
        return list(found.values())


@contextlib.contextmanager
def _looking(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(database)
    try:
        yield connection
    finally:
        connection.close()


def held_in(database: Path) -> dict[str, dict[Key, Value]]:
    """What a database says of each repository: digests of blobs and manifests (True), and what tags name."""
    found: dict[str, dict[Key, Value]] = {}
    with _looking(database) as rows:
        names = dict(rows.execute("SELECT id, name FROM repositories"))
        for name in names.values():
            found[name] = {}
        for repository, digest in rows.execute("SELECT repository_id, digest FROM repository_blobs"):
            found[names[repository]]["blob", digest] = digest
        for repository, digest in rows.execute("SELECT repository_id, digest FROM manifests"):
            found[names[repository]]["manifest", digest] = digest
        for repository, tag, digest in rows.execute("SELECT repository_id, name, digest FROM tags"):
            found[names[repository]]["tag", tag] = digest
    return found


def faults(history: History, cut: int, found: dict[Key, Value]) -> Iterator[str]:
    """How what a disk holds of a repository differs from what its pusher was told before a cut."""
    must, may = history.at(cut)
    wrong = {key for key in must.keys() | found.keys() if not _agrees(key, must.get(key), found.get(key))}
    if wrong and may and all(_agrees(key, value, found.get(key)) for key, value in may.items()):
        wrong -= may.keys()  # it had happened, and nobody was told yet
    for key in sorted(wrong):
        kind, name = key
        said = "acknowledged" if must.get(key) is not None else "deleted, or never asked for"
        yield f"the {kind} {name} of {history.name} was {said}: {found.get(key) is not None}"


def _agrees(key: Key, expected: Value, found: Value) -> bool:
    if key[0] == "tag":
        return expected == found
    return (expected is None) == (found is None)
