"""All orders in which the steps of several actors can follow one another, tried one after the other.

An actor is a coroutine of the real code over a database and a store that stop before every unit, every read and every
call of the driver until it is the actor's turn. Which of those that wait has its turn is what an order consists of. One
order is run after the other, from the same beginning: the first lets an actor go on for as long as it can, and every
other choice that it passed by is the beginning of another one. An order ends early where rows, store, time and all that
the actors have seen so far (results, and the clock) are as they were in an earlier one: nothing new can come of it. So no
order is left out.

An actor may kill another: it never has a turn again, as after a kill -9, and nothing that it would clean up is cleaned up.
"""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from store.blobs.driver import BlobDriver, Content, Page, Writer
from store.database import Database, Row, Unit

T = TypeVar("T")
Actor = Callable[[], Awaitable[object]]

_ACTING: contextvars.ContextVar[str] = contextvars.ContextVar("acting")


def acting() -> str:
    """Whose code is running; empty while nobody's is."""
    return _ACTING.get("")


@dataclass(frozen=True)
class Told:
    """A step that was done, and what it raised."""

    actor: str
    step: str
    error: str = ""

    def __str__(self) -> str:
        return f"{self.actor}: {self.step}" + (f" ({self.error})" if self.error else "")


class Turns:
    """Who waits for a turn, and what each has seen."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.seen: dict[str, list[str]] = {}
        self.dead: set[str] = set()
        self.told: list[Told] = []
        self.did = ""
        """What a step turned out to be, where that is known only once it is done."""
        self._arrived = asyncio.Event()
        self._running = 0

    def clear(self) -> None:
        """For a new order."""
        self.waiting.clear()
        self.seen.clear()
        self.dead.clear()
        self.told.clear()

    async def kill(self, actor: str) -> None:
        """A step: that actor has no turn any more."""

        async def do() -> None:
            if self.waiting.pop(actor, None) is not None:  # else it is through
                self.dead.add(actor)

        await self.step(f"kill {actor}", do)

    async def step(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        """Do it when it is this actor's turn. Whoever sets the scene does it at once."""
        actor = acting()
        if not actor:
            return await operation()
        if actor in self.dead:  # it is being put away
            raise asyncio.CancelledError
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[actor] = gate
        self._rests()
        await gate
        self.did = what
        try:
            value = await operation()
        except Exception as error:
            self.seen[actor].append(f"{what}: {error!r}")
            self.told.append(Told(actor, self.did, type(error).__name__))
            raise
        self.seen[actor].append(f"{what}: {value!r}")
        self.told.append(Told(actor, self.did))
        return value

    async def begin(self, actors: Mapping[str, Actor]) -> "dict[str, asyncio.Task[object]]":
        """Every actor runs up to its first step."""
        tasks = {}
        for name, actor in actors.items():
            self.seen[name] = []
            tasks[name] = await self._run(lambda name=name, actor=actor: self._start(name, actor))  # type: ignore[misc]
        return tasks

    async def take(self, actor: str) -> None:
        """The actor does its step, and runs up to its next one, or its end."""
        gate = self.waiting.pop(actor)
        await self._run(lambda: gate.set_result(None))

    def _start(self, name: str, actor: Actor) -> "asyncio.Task[object]":
        async def act() -> object:
            _ACTING.set(name)
            try:
                await self.step("begin", _nothing)  # it may look at the clock before it does anything else
                return await actor()
            finally:
                self._rests()

        return asyncio.create_task(act(), name=name)

    async def _run(self, go: Callable[[], T]) -> T:
        self._arrived.clear()
        value = go()
        await self._arrived.wait()
        return value

    def _rests(self) -> None:
        self._arrived.set()


class SteppedDatabase:
    """A database whose every call is a step. Nothing waits for a disk: what survives a power cut is another test's."""

    def __init__(self, database: Database, turns: Turns) -> None:
        self._database = database
        self._turns = turns
        self.vocabulary = database.vocabulary
        self.snapshot = database.snapshot
        self.altering = database.altering
        self.close = database.close

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return await self._turns.step(f"read {_about(sql)}", lambda: self._database.fetch(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        rows = await self.fetch(sql, parameters)
        return rows[0] if rows else None

    async def write(
        self,
        unit: Callable[[], Unit[T]],
        *,
        durable: bool = True,
        first: Callable[[], None] | None = None,
        heed: bool = False,
    ) -> T:
        def described() -> Unit[T]:
            its = unit()
            try:
                statement = next(its)
                self._turns.did = f"write {' '.join(statement[0].split()[:3])}"
                while True:
                    statement = its.send((yield statement))
            except StopIteration as done:
                value: T = done.value
                return value
            finally:
                its.close()

        return await self._turns.step("write", lambda: self._database.write(described, durable=False, first=first))


class SteppedBlobs:
    """A driver whose every call is a step; many deletions are many."""

    def __init__(self, blobs: BlobDriver, turns: Turns) -> None:
        self._blobs = blobs
        self._turns = turns
        self.fences = blobs.fences
        self.era = blobs.era
        self.stage = blobs.stage
        self.free_space = blobs.free_space
        self.url = blobs.url
        self.close = blobs.close

    async def writer(self, staged: str, *, turn: int, offset: int) -> Writer:
        writer = await self._blobs.writer(staged, turn=turn, offset=offset)
        return _SteppedWriter(writer, self._turns)

    async def commit(self, staged: str, *, turn: int, size: int) -> str:
        return await self._turns.step("commit", lambda: self._blobs.commit(staged, turn=turn, size=size))

    async def seal(self, staged: str, **how: Any) -> tuple[str, Callable[[], None] | None]:
        return await self._turns.step("seal", lambda: self._blobs.seal(staged, **how))

    async def open(self, key: str) -> Content:
        content: list[Content] = []

        async def do() -> str:
            content.append(await self._blobs.open(key))
            return key

        await self._turns.step("open", do)
        return content[0]

    async def delete(self, key: str, *, keep: str = "") -> None:
        await self._turns.step("delete", lambda: self._blobs.delete(key, keep=keep))

    async def delete_many(self, keys: Sequence[str]) -> Mapping[str, Exception]:
        for key in keys:
            await self.delete(key)
        return {}

    async def inventory(self, *, before: float, after: str = "") -> AsyncGenerator[Page, None]:
        async with aclosing(self._blobs.inventory(before=before, after=after)) as pages:
            while True:
                page = await self._turns.step("take stock", lambda: anext(pages, None))
                if page is None:
                    return
                yield page


class _SteppedWriter:
    def __init__(self, writer: Writer, turns: Turns) -> None:
        self._writer = writer
        self._turns = turns
        self.write = writer.write
        self.discard = writer.discard

    async def close(self) -> str:
        return await self._turns.step("close", self._writer.close)


async def _nothing() -> None:
    return


def _about(sql: str) -> str:
    return sql.partition(" FROM ")[2].split(" ")[0]


class Wrong(AssertionError):
    """Something that must always hold does not; the message tells the order that led there."""


@dataclass
class Explored:
    """What `explore` went through."""

    orders: int = 0
    """Orders that were run to their end."""
    steps: int = 0
    states: set[int] = field(default_factory=set)


@dataclass
class Scene:
    """The beginning of every order, and what has to hold.

    `reset` makes everything as it was; `state` is a value that two orders share only if rows, store and time are alike;
    `check` raises after a step where something is wrong; `end` is given what the actors returned or raised, when all are
    through.
    """

    turns: Turns
    actors: Mapping[str, Actor]
    reset: Callable[[], Awaitable[None]]
    state: Callable[[], Awaitable[object]]
    check: Callable[[], Awaitable[None]]
    end: Callable[[Mapping[str, object]], Awaitable[None]]


async def explore(scene: Scene) -> Explored:
    """Raises Wrong where a check fails in any order."""
    explored = Explored()
    begun: list[tuple[str, ...]] = [()]
    while begun:
        await _run(scene, begun.pop(), begun, explored)
    return explored


async def _run(scene: Scene, prefix: tuple[str, ...], begun: list[tuple[str, ...]], explored: Explored) -> None:
    await scene.reset()
    turns = scene.turns
    turns.clear()
    tasks = await turns.begin(scene.actors)
    order: list[str] = []
    try:
        while turns.waiting:
            ready = sorted(turns.waiting)
            if len(order) < len(prefix):
                actor = prefix[len(order)]
            else:
                actor = order[-1] if order and order[-1] in ready else ready[0]
                begun.extend((*order, other) for other in ready if other != actor)
            await turns.take(actor)
            order.append(actor)
            if len(order) < len(prefix):
                continue
            explored.steps += 1
            await scene.check()
            seen = tuple((name, tuple(what)) for name, what in sorted(turns.seen.items()))
            state = hash((await scene.state(), seen, tuple(sorted(turns.waiting))))
            if state in explored.states:
                return
            explored.states.add(state)
        outcomes = {name: await _outcome(task) for name, task in tasks.items() if name not in turns.dead}
        explored.orders += 1
        await scene.end(outcomes)
    except AssertionError as error:
        raise Wrong("\n".join([str(error), "after", *map(str, turns.told)])) from error
    finally:
        turns.dead |= tasks.keys()
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _outcome(task: "asyncio.Task[object]") -> object:
    try:
        return await task
    except Exception as error:  # noqa: BLE001 - the scene says which may be
        return error
