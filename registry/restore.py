"""Restoring a backup into an empty store, of whatever kind."""

from collections.abc import Collection
from dataclasses import dataclass, field

from base.digest import Digest
from base.progress import Progress, Tell, untold
from base.together import together
from registry.backup import Backup, blob_name, read_blobs, read_rows
from registry.intake import DigestWrong, Intake, portions
from registry.rows.tables import BLOBS
from store.archive import Archive, ArchiveUnusable
from store.blobs.driver import BytesMissing


@dataclass(slots=True)
class Restored:
    """What was restored, and the blobs that could not be: digest -> what was wrong."""

    backup: Backup
    blobs: int = 0
    size: int = 0
    rows: int = 0
    damaged: dict[str, str] = field(default_factory=dict)


async def restore(
    archive: Archive,
    backup: Backup,
    intake: Intake,
    *,
    keep_going: bool = False,
    without: Collection[str] = (),
    tell: Tell = untold,
) -> Restored:
    """Every blob is compared with its digest, every table with what was written.

    With `keep_going` a blob that is damaged in the archive is left out and named; images that need it can be pushed
    again. Tables in `without` stay empty. Raises ArchiveUnusable, IntakeRefused, StoreForeign, NoRoom.
    """
    await intake.begin(f"the backup {backup.id} in {archive.address}", schema=backup.schema, registry=backup.registry)
    done = Restored(backup, damaged=dict(backup.damaged))
    async for some in read_blobs(archive, backup):
        for group in portions(some, lambda blob: blob[1]):
            sizes = dict(group)
            absent = await intake.absent(list(sizes))
            found = await together(_take(archive, intake, digest, sizes[digest]) for digest in absent)
            wrong = {digest: what for digest, what in zip(absent, found, strict=True) if what}
            if wrong and not keep_going:
                digest, what = next(iter(wrong.items()))
                raise ArchiveUnusable(
                    f"the backup {backup.id} is damaged: {digest} {what}. With --keep-going it is left out"
                )
            done.damaged |= wrong
            done.blobs += len(sizes.keys() - wrong.keys())
            done.size += sum(size for digest, size in sizes.items() if digest not in wrong)
            tell(Progress("blobs", done.blobs, backup.blobs, done.size))
    await intake.clear(backup.schema, blobs=False)
    names = [name for name in backup.tables if name != BLOBS and name not in without]
    for number, name in enumerate(names):
        tell(Progress("rows", number, len(names)))
        async for rows in read_rows(archive, backup, name):
            await intake.put(backup.schema, name, rows)
            done.rows += len(rows)
    await intake.finish({name: backup.tables[name].rows for name in names})
    return done


async def _take(archive: Archive, intake: Intake, digest: str, size: int) -> str:
    """What was wrong, if anything was."""
    try:
        await intake.take(Digest(digest), size, archive.read(blob_name(digest)))
    except BytesMissing:
        return "is missing"
    except DigestWrong as error:
        return f"is not what its digest says ({error})"
    return ""
