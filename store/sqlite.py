"""SQLite behind the law of `store.database`.

Reads run at once on the caller's thread: a point read from the page cache takes microseconds, and in WAL mode a reader
never waits for a writer. Writes run under one mutex and one connection, whole groups of waiting units in one
transaction, each under a savepoint. Several processes may share the file: a writer first takes an advisory file lock,
on which the kernel queues the others without polling, so that `BEGIN IMMEDIATE` never meets a busy database. Where
nobody else is writing, the calling thread runs its unit itself, which is as short as a read; else the unit waits for
the writer thread, so the event loop never waits for a lock.

Durable units always go to the writer thread, which takes all that wait: it runs what has to be flushed before them, each
once, then their transaction, drops the lock, and flushes the write-ahead log once for all of them; only then do they
return. The commit itself leaves the log unsynced (`synchronous=NORMAL`), so no lock is held across a flush. Whatever a
unit had read is earlier in the same log, so a flushed unit never depends on an unflushed one. A checkpoint (between two
groups, never part of a commit) flushes the log and the database file itself before the log is used from its start
again, hence flushing the log afterwards is never too late.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from base.disk import Doubtful, is_doubtful, sync_directory, sync_file, trust_again
from base.threads import Threads
from store.database import Alteration, DatabaseFull, DatabaseUnavailable, Row, Sealed, Snapshot, Tell, Unit, untold
from store.seals import LOOK

T = TypeVar("T")

_GROUP = 64
"""Units in one transaction at the most."""
_CHECKPOINT_EVERY = 500
"""Transactions of this process between two looks at the log."""
_LOOK_SOONER = 50
"""The same where the log's file is longer than it is after it began at its start again."""
_LOG_BYTES = 32 * 1024 * 1024
"""What the log's file is cut down to then."""
_LOG_PAGES = 16384
"""Pages (of 4 KiB) in the log beyond which writers wait for a moment, so that it begins at its start again."""
_PATIENCE = 20
"""Milliseconds of that moment: while somebody reads a snapshot the log only grows."""


class _Job(Generic[T]):
    __slots__ = ("durable", "error", "first", "future", "heed", "loop", "unit", "value")

    def __init__(
        self,
        unit: Callable[[], Unit[T]],
        *,
        durable: bool,
        first: Callable[[], None] | None,
        heed: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.unit = unit
        self.durable = durable
        self.first = first
        self.heed = heed
        self.loop = loop
        self.future: asyncio.Future[T] = loop.create_future()
        self.value: T | None = None
        self.error: BaseException | None = None


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun by name.

    Raises DatabaseUnavailable.
    """
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA mmap_size=268435456")
        connection.execute("PRAGMA cache_size=-16000")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
        if readonly:
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise DatabaseUnavailable(f"the database `{path}` cannot be opened: {error}") from error
    return connection


def _make(path: Path) -> None:
    """An empty file for nobody else, where there is none; SQLite gives its log the same mode. Raises DatabaseUnavailable."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return  # and is not opened: closing it again would drop the locks that SQLite holds on it in this process
    except OSError as error:
        raise DatabaseUnavailable(f"the database `{path}` cannot be opened: {error.strerror}") from error


class SqliteDatabase:
    """One file and its writer. Implements `store.database.Database`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._transactions = 0
        self._fresh: list[_Job[Any]] = []
        try:
            self._lock = os.open(path.with_name(path.name + "-writer"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(f"the database `{path}` cannot be opened: {error.strerror}") from error
        try:
            # two that turn a new file to WAL mode at once would find it locked, and SQLite waits for neither
            with _locked(self._lock):
                _make(path)
                self._writer = connect(path)
                self._reader = connect(path, readonly=True)
                self._keeper = connect(path)
                self._keeper.execute(f"PRAGMA busy_timeout={_PATIENCE}")
                # the log exists once something was read or written in WAL mode; its directory entry has to be durable too
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.execute("COMMIT")
                self._log = os.open(path.with_name(path.name + "-wal"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except BaseException:
            os.close(self._lock)
            raise
        sync_directory(path.parent)
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._write_loop, name="sqlite-writer", daemon=True)
        self._thread.start()

    vocabulary: Mapping[str, str] = {
        "clustered": "WITHOUT ROWID",
        "concurrently": "",
        "columns": "SELECT name FROM pragma_table_info(?)",
    }

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        if self._mutex.acquire(blocking=False):
            try:
                return self._writer.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError as error:
                raise _translate(error) from error
            finally:
                self._mutex.release()
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise _translate(error) from error

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
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        loop = asyncio.get_running_loop()
        job = _Job(unit, durable=durable, first=first, heed=heed, loop=loop)
        if durable or first is not None:
            self._jobs.put(job)
        else:
            self._fresh.append(job)
            if len(self._fresh) == 1:
                loop.call_soon(self._write_fresh)
        return await job.future

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        threads = Threads(1, "sqlite-snapshot")
        connection = await threads.run(_connect_snapshot, self._path)
        try:
            yield _SqliteSnapshot(connection, threads)
        finally:
            await threads.run(connection.close)
            await threads.close()

    @asynccontextmanager
    async def altering(self, tell: Tell = untold) -> AsyncIterator[Alteration]:  # noqa: ARG002 - it waits for nothing long
        yield _SqliteAlteration(self)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._write_fresh()
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        with _locked(self._lock):  # the last to close folds the log in: nobody opens the file meanwhile
            for connection in (self._reader, self._keeper, self._writer):
                connection.close()
        os.close(self._log)
        os.close(self._lock)

    # -- writing

    def _write_fresh(self) -> None:
        """Run what came in this turn of the loop on its own thread, if that needs no waiting; else leave it to the writer."""
        group, self._fresh = self._fresh, []
        if not group:  # closing was quicker
            return
        if len(group) <= _GROUP and self._mutex.acquire(blocking=False):
            try:
                if self._try_lock():
                    try:
                        self._commit(group)
                    finally:
                        fcntl.flock(self._lock, fcntl.LOCK_UN)
                    _settle(group)
                    return
            finally:
                self._mutex.release()
        for job in group:
            self._jobs.put(job)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _write_loop(self) -> None:
        take = self._jobs.get
        looked = 0
        last = False
        while not last:
            job = take()
            if job is None:
                break
            group = [job]
            while len(group) < _GROUP:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    last = True
                    break
                group.append(job)
            self._write_group(group)
            _deliver(group)
            since = self._transactions - looked
            if since >= _CHECKPOINT_EVERY or (since >= _LOOK_SOONER and os.fstat(self._log).st_size > _LOG_BYTES):
                looked = self._transactions
                self._checkpoint()

    def _write_group(self, group: list[_Job[Any]]) -> None:
        """On the writer thread: what comes first, the transaction, the flush of the log."""
        _flush_first(group)
        rest = [job for job in group if job.error is None]
        if not rest:
            return
        with self._mutex, _locked(self._lock):
            self._commit(rest)
        if any(job.durable and job.error is None for job in rest):
            try:
                self._flush_log()
            except (sqlite3.Error, OSError) as error:
                for job in rest:
                    job.error = job.error or _translate(error)

    def _flush_log(self) -> None:
        """Make everything that was committed durable. Raises OSError, sqlite3.Error.

        A log whose flush failed once is folded into the database file, which has flushes of its own, and begun anew,
        before anything is acknowledged again: what comes after the place that was lost would be lost with it.
        """
        with contextlib.suppress(Doubtful):
            sync_file(self._log)
            return
        with self._mutex, _locked(self._lock):
            if not is_doubtful(self._log):  # another process has done it
                return
            busy, _, _ = self._keeper.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise OSError(errno.EIO, "the log could not be written, and somebody still reads from it")
            trust_again(self._log)

    def _commit(self, group: list[_Job[Any]]) -> None:
        """Run a group in one transaction. Errors end up in the jobs."""
        try:
            self._run_group(group)
        except (sqlite3.Error, OSError) as error:
            if len(group) == 1:
                group[0].error = _translate(error)
                return
            for job in group:  # one unit may have ended the whole transaction: each gets its own
                job.value, job.error = None, None
                self._commit([job])

    def _run_group(self, group: list[_Job[Any]]) -> None:
        connection = self._writer
        self._transactions += 1
        connection.execute("BEGIN IMMEDIATE")
        try:
            seal = connection.execute(LOOK).fetchone() if any(job.heed for job in group) else None
            for job in group:
                if seal is not None and job.heed:
                    job.error = Sealed(seal[0])
                elif len(group) == 1:
                    self._run_only(job)
                else:
                    self._run_beside_others(job)
            if len(group) == 1 and group[0].error is not None:
                connection.execute("ROLLBACK")
            else:
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _run_only(self, job: _Job[Any]) -> None:
        try:
            job.value = _drive(self._writer, job.unit())
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the caller of write
            job.error = error

    def _run_beside_others(self, job: _Job[Any]) -> None:
        connection = self._writer
        connection.execute("SAVEPOINT unit")
        try:
            job.value = _drive(connection, job.unit())
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the caller of write
            job.error = error
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")

    def _checkpoint(self) -> None:
        """Move what is in the log into the database file; writers go on meanwhile, unless the log has grown large."""
        try:
            _, pages, _ = self._keeper.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages > _LOG_PAGES:
                with self._mutex, _locked(self._lock):
                    self._keeper.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except (sqlite3.Error, OSError):  # a full or failing disk: the log keeps what it has, the next look tries again
            return


class _SqliteAlteration:
    """Units like others: nobody reads what they lock, writers wait for them as for each other."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def run(self, unit: Callable[[], Unit[T]], *, apart: bool = False) -> T:  # noqa: ARG002 - all of it is atomic
        return await self._database.write(unit)


class _SqliteSnapshot:
    """A transaction that only reads, on a connection and a thread of its own."""

    def __init__(self, connection: sqlite3.Connection, threads: Threads) -> None:
        self._connection = connection
        self._threads = threads

    async def stream(self, sql: str, parameters: Sequence[Any] = (), *, size: int = 64) -> AsyncIterator[list[Row]]:
        try:
            cursor = await self._threads.run(self._connection.execute, sql, parameters)
            while rows := await self._threads.run(cursor.fetchmany, size):
                yield rows
        except sqlite3.OperationalError as error:
            raise _translate(error) from error


def _connect_snapshot(path: Path) -> sqlite3.Connection:
    connection = connect(path, readonly=True)
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # a transaction begins when it first reads
    return connection


def _drive(connection: sqlite3.Connection, unit: Unit[T]) -> T:
    execute = connection.execute
    try:
        sql, parameters = next(unit)
        while True:
            sql, parameters = unit.send(execute(sql, parameters).fetchall())
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        unit.close()


def _flush_first(group: list[_Job[Any]]) -> None:
    """Run what the units of a group need flushed before them, each once."""
    done: dict[Callable[[], None], Exception | None] = {}
    for job in group:
        if job.first is None:
            continue
        if job.first not in done:
            try:
                job.first()
                done[job.first] = None
            except Exception as error:  # noqa: BLE001 - it belongs to the callers of write
                done[job.first] = error
        job.error = done[job.first]


def _deliver(jobs: list[_Job[Any]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, its)


def _settle(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        if job.future.done():  # the caller went away; the rows are as they are
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)


def _translate(error: BaseException) -> Exception:
    if (
        isinstance(error, sqlite3.OperationalError)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    ):
        return DatabaseFull("no room is left where the database writes")
    if isinstance(error, OSError):
        return DatabaseUnavailable(f"the database cannot write: {error.strerror}")
    if isinstance(error, sqlite3.OperationalError):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_ERROR:  # a statement of ours is wrong: no outage
            return error
        return DatabaseUnavailable(f"the database does not answer: {error}")
    return error if isinstance(error, Exception) else RuntimeError(str(error))


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the advisory lock that this file's writers share; the kernel queues those that wait."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
