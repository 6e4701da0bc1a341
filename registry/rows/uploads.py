"""Uploads under way."""

from dataclasses import dataclass

from base.digest import Digest
from registry.garbage import Garbage
from registry.names import RegistryId, RepositoryName
from registry.rows.blobs import condemn, insert_blob
from store.database import Database, Unit


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way: `received` bytes with `digest` lie under the driver's name `staged`. `principal` is the unique id
    of who began it: whoever has the name later has not begun it."""

    id: str
    repository_id: int
    principal: str
    algorithm: str
    staged: str
    received: int
    digest: str
    turn: int
    smallest_part: int
    """Bytes of the smallest part before the last; a huge number while there is none."""
    last_part: int
    era: str
    """That of the blob driver in which `digest` was found: in another one the bytes may not be those any more."""


_UPLOAD = "id, repository_id, principal, algorithm, staged, received, digest, turn, smallest_part, last_part, era"


_REPOSITORY_IS_THERE = "EXISTS (SELECT 1 FROM repositories p WHERE p.id = uploads.repository_id)"


_QUALIFIED_UPLOAD = ", ".join(f"u.{column}" for column in _UPLOAD.split(", "))


def insert_named_upload(registry: RegistryId, name: RepositoryName, upload: Upload, now: float) -> Unit[bool]:
    """Open a session in the repository of that name, whatever `upload.repository_id` says. False where there is none."""
    where = "account = ? AND region = ? AND name = ?"
    return (yield from _insert(upload, now, where, (registry.account, registry.region, name)))


def insert_upload(upload: Upload, now: float) -> Unit[bool]:
    """False where the repository is gone."""
    return (yield from _insert(upload, now, "id = ?", (upload.repository_id,)))


def _insert(upload: Upload, now: float, where: str, repository: tuple[object, ...]) -> Unit[bool]:
    rows = yield (
        f"INSERT INTO uploads ({_UPLOAD}, touched_at) SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM repositories "
        f"WHERE {where} RETURNING 1",
        (
            upload.id,
            upload.principal,
            upload.algorithm,
            upload.staged,
            upload.received,
            upload.digest,
            upload.turn,
            upload.smallest_part,
            upload.last_part,
            upload.era,
            now,
            *repository,
        ),
    )
    return bool(rows)


async def find_upload(database: Database, identifier: str) -> Upload | None:
    """None also where its repository was deleted."""
    row = await database.fetch_one(
        f"SELECT {_QUALIFIED_UPLOAD} FROM uploads u JOIN repositories p ON p.id = u.repository_id WHERE u.id = ?",
        (identifier,),
    )
    return None if row is None else Upload(*row)


async def find_named_upload(
    database: Database, registry: RegistryId, name: RepositoryName, identifier: str
) -> Upload | None:
    """An upload of that repository."""
    row = await database.fetch_one(
        f"SELECT {_QUALIFIED_UPLOAD} FROM uploads u JOIN repositories p ON p.id = u.repository_id "
        "WHERE u.id = ? AND p.account = ? AND p.region = ? AND p.name = ?",
        (identifier, registry.account, registry.region, name),
    )
    return None if row is None else Upload(*row)


def claim_upload(upload: Upload, now: float) -> Unit[bool]:
    """Take the next turn, if the upload still stands where the caller saw it."""
    rows = yield (
        "UPDATE uploads SET turn = turn + 1, touched_at = ? WHERE id = ? AND turn = ? AND received = ? "
        f"AND {_REPOSITORY_IS_THERE} RETURNING 1",
        (now, upload.id, upload.turn, upload.received),
    )
    return bool(rows)


def advance_upload(upload: Upload, claimed_at: int, now: float, *, former: tuple[str, int] | None = None) -> Unit[bool]:
    """Count what a turn received: `upload` is the new state. False where the upload is no longer at turn `claimed_at`.

    `former`: the (staged name, bytes) that nobody needs from now on, because it was copied.
    """
    rows = yield (
        "UPDATE uploads SET staged = ?, received = ?, digest = ?, algorithm = ?, smallest_part = ?, last_part = ?, turn = ?, "
        f"era = ?, touched_at = ? WHERE id = ? AND turn = ? AND {_REPOSITORY_IS_THERE} RETURNING 1",
        (
            upload.staged,
            upload.received,
            upload.digest,
            upload.algorithm,
            upload.smallest_part,
            upload.last_part,
            upload.turn,
            upload.era,
            now,
            upload.id,
            claimed_at,
        ),
    )
    if rows and former is not None:
        yield from condemn([former], now, Garbage.UPLOAD)
    return bool(rows)


def finish_upload(upload: Upload, digest: Digest, key: str, now: float) -> Unit[str | None]:
    """Turn a committed upload into the repository's blob, and return the key that holds its bytes from now on.

    None where another took the turn over, the repository was deleted, or the bytes lay so long that they were taken for
    an orphan's. Where the digest was there already its own bytes stay and `key` is condemned.
    """
    ended = yield (
        f"DELETE FROM uploads WHERE id = ? AND turn = ? AND {_REPOSITORY_IS_THERE} "
        "AND NOT EXISTS (SELECT 1 FROM condemned c WHERE c.key = ?) RETURNING 1",
        (upload.id, upload.turn, key),
    )
    if not ended:
        return None
    return (yield from insert_blob(upload.repository_id, digest, key, upload.received, now))


def end_upload(upload: Upload, now: float) -> Unit[bool]:
    """Cancel: the row goes, what was staged is condemned."""
    rows = yield "DELETE FROM uploads WHERE id = ? RETURNING staged, received", (upload.id,)
    yield from condemn([(staged, received) for staged, received in rows], now, Garbage.UPLOAD)
    return bool(rows)
