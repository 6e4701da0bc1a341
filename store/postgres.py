"""PostgreSQL behind the law of `store.database`.

Reads run on a few connections, each a single round trip with a prepared statement, at READ COMMITTED. Writes run on one
connection a process, whole groups of waiting units in one transaction under one advisory lock of the database, so that
units run one after the other whatever process they come from, as the law has it: no unit meets another's half, none
has to be tried again because of another. A unit that raises takes the transaction with it, hence the units of its group
run again, each alone; units are written for that.

The transactions themselves commit without waiting for the disk (`synchronous_commit = off`), so the lock is never held
across a flush. Durable units then wait for a second connection, which has the server flush its log (and wait for its
synchronous standbys, if it has any) once for all of them. What a unit had read is earlier in the same log, so a flushed
unit never depends on an unflushed one.

Connections are made when they are needed and again after they broke, to the one of the URL's hosts that is no standby
(unless told otherwise): so a failover is over for this process when the database's is, and nothing is read that is old.
While the database is away every call raises DatabaseUnavailable within `timeout`; when it is back the next call
succeeds. A call that breaks while its transaction commits may have happened: like every error it means that nothing was
promised.

The schema changes on a connection of its own, under an advisory lock of its own, so writers go on. What a change has to
lock it waits for only briefly, because whoever comes after it waits behind it; then it rests and tries again.
"""

import asyncio
import contextlib
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import asyncpg

from store.database import Alteration, DatabaseFull, DatabaseUnavailable, Row, Sealed, Snapshot, Tell, Unit, untold
from store.seals import LOOK

T = TypeVar("T")

_GROUP = 64
"""Units in one transaction at the most."""
_WRITERS = 0x4C6F6E6773686F72
"""The advisory lock that all writers of a database share."""
_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS})"
_PREPARE_HEEDING = (
    "PREPARE heed AS SELECT CAST((SELECT 'sealed' FROM seals LIMIT 1) AS INTEGER)",
    f"PREPARE take_turn AS SELECT pg_advisory_xact_lock({_WRITERS})",
)
"""Whatever begins a transaction is planned once: that takes the server longer than to run it."""
_BEGIN_HEEDING = "BEGIN; EXECUTE take_turn; EXECUTE heed"
"""Fails where there is a seal, in the same round trip."""
_ALTERERS = _WRITERS + 1
"""The advisory lock of whoever changes the schema."""
_TAKE_ALTERING = f"SELECT pg_try_advisory_lock({_ALTERERS})"
"""Asked again and again: who waited in a transaction would hold up an index that is being built concurrently."""
_YIELD = 0.5
"""Seconds that a change of the schema waits for a lock: less than PostgreSQL takes to look for a deadlock."""
_OPEN = (
    "SELECT pid, application_name, extract(epoch FROM now() - xact_start) FROM pg_catalog.pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() ORDER BY xact_start LIMIT 3"
)
_TOLD_EVERY = 30.0
"""Seconds between two words about what it waits for."""
_LONGEST = 24 * 3600.0
"""Seconds that one statement of it may take: a bound for what hangs."""
_FLUSH = "SELECT pg_logical_emit_message(true, 'longshore', '')"
_STATEMENTS = 1000
_KEPT = 500
"""Prepared statements that a reading connection keeps at hand."""
_RETRIES = 3

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.PostgresSystemError,
)
_FULL = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError)
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


class _Job(Generic[T]):
    __slots__ = ("durable", "error", "first", "flusher", "future", "heed", "unit", "value")

    def __init__(
        self,
        unit: Callable[[], Unit[T]],
        future: "asyncio.Future[T]",
        *,
        durable: bool,
        first: Callable[[], None] | None,
        heed: bool,
    ) -> None:
        self.unit = unit
        self.durable = durable
        self.first = first
        self.heed = heed
        self.future = future
        self.flusher: _Session | None = None
        self.value: T | None = None
        self.error: BaseException | None = None


class _Session:
    """A connection, and the statements that it has prepared."""

    __slots__ = ("connection", "heeds", "statements")

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connection = connection
        self.heeds = False
        """Whether what begins a transaction that heeds seals is prepared."""
        self.statements: dict[str, asyncpg.prepared_stmt.PreparedStatement[Any]] = {}

    async def run(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """One statement, in a round trip once it is prepared."""
        statement = self.statements.get(sql)
        if statement is None:
            statement = await self.connection.prepare(translate(sql))
            if len(self.statements) < _KEPT:  # lists have as many forms as lengths: the rest is in asyncpg's own memory
                self.statements[sql] = statement
        return list(map(tuple, await statement.fetch(*parameters)))


class PostgresDatabase:
    """One database, from one process. Implements `store.database.Database`; bound to the loop that first uses it."""

    vocabulary: Mapping[str, str] = {
        "clustered": "",
        "concurrently": "CONCURRENTLY",
        "columns": "SELECT attname FROM pg_catalog.pg_attribute "
        "WHERE attrelid = pg_catalog.to_regclass(?) AND attnum > 0 AND NOT attisdropped",
    }

    def __init__(
        self, url: str, *, readers: int = 8, timeout: float = 10.0, patience: float = 600.0, standby: bool = False
    ) -> None:
        """`url` is a connection URI of libpq's form; `timeout` (seconds) bounds connecting and every statement but those
        that change the schema, which try for `patience` seconds to get the locks that they need.

        With `standby` a standby will do, for who only reads. What the URL says itself (`target_session_attrs`) wins.
        """
        self._url = url
        self._timeout = timeout
        self._patience = patience
        self._most = readers
        self._wanted = None if "target_session_attrs" in url else "any" if standby else "primary"
        self._readers = 0
        self._idle: list[_Session] = []
        self._turns: deque[asyncio.Future[_Session | None]] = deque()
        self._writer: _Session | None = None
        self._flusher: _Session | None = None
        self._waiting: deque[_Job[Any]] = deque()
        self._unflushed: list[_Job[Any]] = []
        self._preparing: list[_Job[Any]] = []
        self._prepared: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False

    # -- reading

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        reader = self._take_idle() or await self._new_reader()
        try:
            rows = await reader.run(sql, parameters)
        except _AWAY as error:
            self._drop(reader)
            raise _unavailable(error) from error
        except asyncio.CancelledError:  # its answer is still to come
            self._drop(reader)
            raise
        except BaseException:
            self._give_back(reader)
            raise
        self._give_back(reader)
        return rows

    async def fetch_one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        rows = await self.fetch(sql, parameters)
        return rows[0] if rows else None

    def _take_idle(self) -> "_Session | None":
        """One that the server has not ended meanwhile."""
        while self._idle:
            session = self._idle.pop()
            if not session.connection.is_closed():
                return session
            self._drop(session)
        return None

    async def _new_reader(self) -> "_Session":
        """Another one while there are fewer than the most, or the next that is given back in time."""
        if self._readers >= self._most:
            turn: asyncio.Future[_Session | None] = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            try:
                async with asyncio.timeout(self._timeout):
                    given = await turn
            except TimeoutError as error:
                raise _unavailable(error) from error
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and (late := turn.result()) is not None:
                    self._give_back(late)
                raise
            if given is not None:
                return given
        self._readers += 1
        try:
            return _Session(await self._connect("reader"))
        except BaseException:
            self._readers -= 1
            self._wake(None)
            raise

    def _give_back(self, session: "_Session") -> None:
        if self._closed or session.connection.is_closed():
            self._drop(session)
        elif not self._wake(session):
            self._idle.append(session)

    def _drop(self, session: "_Session") -> None:
        session.connection.terminate()
        self._readers -= 1
        self._wake(None)

    def _wake(self, session: "_Session | None") -> bool:
        """Hand a session, or leave to make one, to whoever waits longest."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(session)
                return True
        return False

    async def _connect(self, purpose: str, *, longest: float | None = None) -> "asyncpg.Connection[Any]":
        """A statement of it may take `longest` seconds. Raises DatabaseUnavailable."""
        bound = self._timeout if longest is None else longest
        try:
            return await asyncpg.connect(
                self._url,
                target_session_attrs=self._wanted,
                timeout=self._timeout,
                command_timeout=bound,
                statement_cache_size=_STATEMENTS,
                max_cached_statement_lifetime=0,
                server_settings={
                    "application_name": f"longshore {purpose}",
                    "synchronous_commit": "off" if purpose == "writer" else "on",
                    "default_transaction_isolation": "read committed",
                    "lock_timeout": _milliseconds(self._timeout),
                    "statement_timeout": _milliseconds(bound),
                    "idle_in_transaction_session_timeout": _milliseconds(self._timeout),
                },
            )
        except (*_AWAY, asyncpg.PostgresError, ValueError) as error:
            raise _unavailable(error) from error

    # -- writing

    async def write(
        self,
        unit: Callable[[], Unit[T]],
        *,
        durable: bool = True,
        first: Callable[[], None] | None = None,
        heed: bool = False,
    ) -> T:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _Job(unit, future, durable=durable, first=first, heed=heed)
        if first is None:
            self._give_to_writer([job])
        else:
            self._preparing.append(job)
            if self._prepared is None or self._prepared.done():
                self._prepared = asyncio.create_task(self._prepare_waiting(), name="postgres-first")
        return await future

    def _give_to_writer(self, jobs: "list[_Job[Any]]") -> None:
        self._waiting += jobs
        if jobs and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_waiting(), name="postgres-writer")

    async def _prepare_waiting(self) -> None:
        """Run what units need flushed before them, while the writer goes on with those that need nothing."""
        while self._preparing:
            group, self._preparing = self._preparing, []
            try:
                await _flush_first(group)
            except BaseException as error:  # whatever it was, nobody waits for ever
                _fail(group, _translated(error))
                _settle(group)
                raise
            _settle([job for job in group if job.error is not None])
            self._give_to_writer([job for job in group if job.error is None])

    async def _write_waiting(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))]
            try:
                await self._commit(group)
            except BaseException as error:
                for job in group:
                    job.error = job.error or _translated(error)
                _settle(group)
                raise
            if any(isinstance(job.error, DatabaseUnavailable) for job in group):
                # whoever waits behind them has waited as long: it would be as much again for each group
                rest = list(self._waiting)
                self._waiting.clear()
                _fail(rest, DatabaseUnavailable("the database does not answer"))
                _settle(rest)
            done = [job for job in group if job.error is not None or not job.durable]
            self._unflushed += [job for job in group if job.error is None and job.durable]
            _settle(done)
            if self._unflushed and (self._flushing is None or self._flushing.done()):
                self._flushing = asyncio.create_task(self._flush_waiting(), name="postgres-flusher")

    async def _commit(self, group: list[_Job[Any]]) -> None:
        """Run a group in one transaction; errors end up in the jobs."""
        for attempt in range(_RETRIES):
            try:
                await self._run(group)
            except _AGAIN as error:
                if attempt + 1 == _RETRIES:
                    _fail(group, _unavailable(error))
                continue
            except DatabaseUnavailable as error:
                _fail(group, error)
            except Sealed as error:
                _fail([job for job in group if job.heed], error)
                rest = [job for job in group if not job.heed]
                if rest:
                    await self._commit(rest)
            except Exception as error:  # noqa: BLE001 - it belongs to a caller of write
                if len(group) == 1:
                    _fail(group, _translated(error))
                else:  # one of them ended the transaction of all: each gets its own
                    for job in group:
                        job.value, job.error = None, None
                        await self._commit([job])
            return

    async def _run(self, group: list[_Job[Any]]) -> None:
        # who is to flush is connected before: a session that lives through both saw no crash, and no other server
        flusher = await self._ready_flusher() if any(job.durable for job in group) else None
        if self._writer is None or self._writer.connection.is_closed():
            self._writer = _Session(await self._connect("writer"))
        session = self._writer
        connection = session.connection
        try:
            if any(job.heed for job in group):
                await self._begin_heeding(session)
            else:
                await connection.execute(_BEGIN)
            try:
                for job in group:
                    job.value = await _drive(session, job.unit())
                    job.flusher = flusher
            except _AWAY:
                raise
            except BaseException:
                await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")
        except _AWAY as error:
            connection.terminate()
            self._writer = None
            raise _unavailable(error) from error
        except asyncio.CancelledError:
            connection.terminate()
            self._writer = None
            raise

    async def _begin_heeding(self, session: _Session) -> None:
        """Begin a transaction. Raises Sealed."""
        if not session.heeds:  # not before, for a new database has no seals yet
            await session.connection.execute("; ".join(_PREPARE_HEEDING))
            session.heeds = True
        try:
            await session.connection.execute(_BEGIN_HEEDING)
        except asyncpg.InvalidTextRepresentationError:
            await session.connection.execute("ROLLBACK")
            reasons = await session.run(LOOK, ())
            raise Sealed(reasons[0][0] if reasons else "a seal was broken just now: try again") from None

    async def _ready_flusher(self) -> _Session:
        if self._flusher is None or self._flusher.connection.is_closed():
            self._flusher = _Session(await self._connect("flusher"))
        return self._flusher

    async def _flush_waiting(self) -> None:
        """Have the server flush its log, once for all that were committed before."""
        while self._unflushed:
            waiting, self._unflushed = self._unflushed, []
            flusher = self._flusher
            group = [job for job in waiting if job.flusher is flusher]
            late = [job for job in waiting if job.flusher is not flusher]
            _fail(late, DatabaseUnavailable("the database was away, and may have lost what it had committed"))
            _settle(late)
            if flusher is None or not group:
                continue
            try:
                await flusher.run(_FLUSH, ())
            except (*_AWAY, asyncpg.PostgresError) as error:
                flusher.connection.terminate()
                if self._flusher is flusher:
                    self._flusher = None
                _fail(group, _translated(error))
            except BaseException as error:
                _fail(group, _translated(error))
                _settle(group)
                raise
            _settle(group)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        connection = await self._connect("snapshot")
        try:
            try:
                # whoever reads may be slow: the server is told not to mind
                for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
                    await connection.execute(f"SET {limit} = 0")
                await connection.transaction(isolation="repeatable_read", readonly=True).start()
                await connection.execute("SELECT 1")  # a transaction's view is that of its first statement
            except _AWAY as error:
                raise _unavailable(error) from error
            yield _PostgresSnapshot(connection)
        finally:
            connection.terminate()

    # -- the schema

    @contextlib.asynccontextmanager
    async def altering(self, tell: Tell = untold) -> AsyncIterator[Alteration]:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        connection = await self._connect("migration", longest=_LONGEST)
        try:
            alteration = _PostgresAlteration(connection, self._patience, tell)
            await alteration.take_turn()
            yield alteration
        finally:
            with contextlib.suppress(*_AWAY):
                await connection.close(timeout=1.0)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for name in ("_prepared", "_writing", "_flushing"):
            task = getattr(self, name)
            if task is not None:
                with contextlib.suppress(Exception):
                    await task
        sessions = [*self._idle, *(session for session in (self._writer, self._flusher) if session is not None)]
        self._idle.clear()
        self._writer = self._flusher = None
        for connection in (session.connection for session in sessions):
            if not connection.is_closed():
                try:
                    await connection.close(timeout=1.0)
                except _AWAY:
                    connection.terminate()


class _PostgresAlteration:
    """Transactions on a connection of its own, each tried until it gets its locks."""

    def __init__(self, connection: "asyncpg.Connection[Any]", patience: float, tell: Tell) -> None:
        self._connection = connection
        self._session = _Session(connection)
        self._patience = patience
        self._tell = tell
        self._told_at = float("-inf")

    async def take_turn(self) -> None:
        """Wait until no other process changes the schema; nobody else does before this connection ends."""
        try:
            # if this process's machine goes away the server finds out, and the next one may begin
            for setting, value in (("idle", 15), ("interval", 5), ("count", 3)):
                await self._connection.execute(f"SET tcp_keepalives_{setting} = {value}")
            async with asyncio.timeout(self._patience):
                for pause in _pauses():
                    if await self._connection.fetchval(_TAKE_ALTERING):
                        return
                    self._say("waiting for another process, which is changing the schema")
                    await asyncio.sleep(pause)
        except TimeoutError as error:
            raise DatabaseUnavailable(
                f"another process has been changing the schema for {self._patience:.0f} seconds: try again when it is done"
            ) from error
        except _AWAY as error:
            raise _unavailable(error) from error

    async def run(self, unit: Callable[[], Unit[T]], *, apart: bool = False) -> T:
        until = asyncio.get_running_loop().time() + self._patience
        try:
            if apart:  # nobody waits behind what it waits for
                await self._connection.execute("SET lock_timeout = 0")
                return await _drive(self._session, unit())
            await self._connection.execute(f"SET lock_timeout = {_milliseconds(_YIELD)!r}")
            for pause in _pauses():
                try:
                    async with self._connection.transaction():
                        return await _drive(self._session, unit())
                except (asyncpg.LockNotAvailableError, *_AGAIN) as error:
                    holders = await self._list_holders()
                    if asyncio.get_running_loop().time() > until:
                        raise DatabaseUnavailable(
                            f"others have held what a migration has to lock for {self._patience:.0f} seconds: try again when "
                            f"they are done ({holders})"
                        ) from error
                    self._say(f"waiting for what others have locked ({holders})")
                await asyncio.sleep(pause)
        except (*_AWAY, *_FULL) as error:
            raise _unavailable(error) from error
        raise AssertionError("pauses have no end")

    async def _list_holders(self) -> str:
        """Who may hold what could not be locked: the transactions that have been open for the longest."""
        rows = await self._connection.fetch(_OPEN)
        named = [f"process {pid} `{name}`, {seconds:.0f} s" for pid, name, seconds in rows]
        return f"open transactions: {'; '.join(named)}" if named else "no transaction is open for long"

    def _say(self, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _TOLD_EVERY:
            self._told_at = now
            self._tell(text)


def _pauses() -> Iterator[float]:
    """Seconds between attempts, more and more, never the same for two who began at once."""
    longest = 0.25
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - no secret
        longest = min(longest * 1.5, 5.0)


def _milliseconds(seconds: float) -> str:
    """As PostgreSQL's settings have it."""
    return f"{int(seconds * 1000)}ms"


class _PostgresSnapshot:
    """A transaction that only reads, on a connection of its own."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection

    async def stream(self, sql: str, parameters: Sequence[Any] = (), *, size: int = 64) -> AsyncIterator[list[Row]]:
        try:
            cursor = await self._connection.cursor(translate(sql), *parameters)
            while rows := await cursor.fetch(size):
                yield list(map(tuple, rows))
        except _AWAY as error:
            raise _unavailable(error) from error


async def _flush_first(group: list[_Job[Any]]) -> None:
    """Each flush once, on a thread; what it raised belongs to the jobs that wanted it."""
    wanted = list(dict.fromkeys(job.first for job in group if job.first is not None))

    def flush() -> dict[Callable[[], None], Exception | None]:
        done: dict[Callable[[], None], Exception | None] = {}
        for first in wanted:
            try:
                first()
                done[first] = None
            except Exception as error:  # noqa: BLE001 - it belongs to the callers of write
                done[first] = error
        return done

    found = await asyncio.to_thread(flush)
    for job in group:
        if job.first is not None:
            job.error = found[job.first]


async def _drive(session: _Session, unit: Unit[T]) -> T:
    try:
        sql, parameters = next(unit)
        while True:
            sql, parameters = unit.send(await session.run(sql, parameters))
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        unit.close()


@lru_cache(maxsize=4096)
def translate(sql: str) -> str:
    """The common tongue in PostgreSQL's: `?` is `$1`, and text compares by its bytes, as in SQLite."""
    pieces = sql.split("?")
    numbered = "".join(f"{piece}${number}" for number, piece in enumerate(pieces[:-1], 1)) + pieces[-1]
    if numbered.startswith(("CREATE TABLE", "ALTER TABLE")):
        numbered = re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', numbered)
    return numbered


def _settle(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        if job.future.done():  # the caller went away; the rows are as they are
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)


def _fail(jobs: list[_Job[Any]], error: BaseException) -> None:
    for job in jobs:
        job.error = error


def _unavailable(error: BaseException) -> Exception:
    if isinstance(error, _FULL):
        return DatabaseFull("no room is left where the database writes")
    said = str(error) or type(error).__name__
    return DatabaseUnavailable(f"the database does not answer: {said.splitlines()[0]}")


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, _FULL):
        return DatabaseFull("no room is left where the database writes")
    if isinstance(error, asyncio.CancelledError):
        return DatabaseUnavailable("the database is closed")
    return _unavailable(error) if isinstance(error, _AWAY) else error
