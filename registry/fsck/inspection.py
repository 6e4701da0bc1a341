"""An inspection: phase by phase over a registry that may be working, from where an earlier one stopped.

    blobs     every row of `blobs`, by digest: what it is linked by, and its bytes
    images    every repository: its tags, manifests, what they name, what it has
    strays    rows of repositories that are gone
    store     what lies in the store and no row knows, and uploads whose bytes are gone

What looks wrong is looked at again, at one moment, before it counts: a push or deletion under way may have been in between.
Mending looks once more, in the unit that mends.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self, TypeVar

from base.clock import Clock
from base.digest import Digest, algorithm_of, digest_of, new_hash
from base.progress import Progress, Tell, untold
from base.rate import Rate
from registry.fsck.finding import Finding, Kind
from registry.manifest import Manifest, ManifestMalformed, parse_manifest
from registry.rows import copies, delete_manifest
from registry.rows import inspection as rows
from registry.rows.inspection import Inspected
from store.blobs.driver import BlobDriver, BytesMissing
from store.database import Database, Row, Snapshot, Unit

T = TypeVar("T")

PHASES: Final = ("blobs", "images", "strays", "store")
_READ = 1024 * 1024
_BLOBS = 64
_REPOSITORIES = 64
_MANIFESTS = 32
_SAMPLE = 16 * _BLOBS
_FEW = 10
_LEFT_ALONE = 3600.0
"""Seconds for which bytes without a row are left alone: their row may be about to come."""


class StoreEmpty(Exception):
    """None of the registry's blobs is in the store."""


@dataclass(slots=True)
class State:
    """How far an inspection has come, and what it has found: enough to go on from."""

    began: float
    phase: str = PHASES[0]
    after: list[Any] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def write(self) -> str:
        findings = [finding.as_json() for finding in self.findings]
        found = {"began": self.began, "phase": self.phase, "after": self.after, "counts": self.counts}
        return json.dumps({**found, "findings": findings})

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError, KeyError, TypeError for a text that `write` has not made."""
        found = json.loads(text)
        if found["phase"] not in PHASES:
            raise ValueError(found["phase"])
        findings = [Finding.of_json(one) for one in found.pop("findings")]
        return cls(**found, findings=findings)

    def count(self, what: str, amount: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + amount


class Inspection:
    """One inspection of a registry. `found` is told of every finding, `save` is called wherever it may be interrupted."""

    def __init__(
        self,
        database: Database,
        blobs: BlobDriver,
        state: State,
        *,
        clock: Clock,
        mend: bool = False,
        read_bytes: bool = True,
        allow_sparse: bool = False,
        rate: Rate | None = None,
        found: Callable[[Finding], None] = lambda _: None,
        save: Callable[[State], None] = lambda _: None,
        tell: Tell = untold,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self.state = state
        self._clock = clock
        self._mend = mend
        self._read_bytes = read_bytes
        self._allow_sparse = allow_sparse
        self._rate = rate or Rate(0)
        self._found = found
        self._save = save
        self._tell = tell

    async def require_store(self) -> None:
        """For who means to mend: blobs of a disk that is not mounted are not lost, and mending would give them up.

        Looks at some. Raises StoreEmpty where the store has none of them, StoreUnavailable, DatabaseUnavailable.
        """
        after, looked_at = "", 0
        while looked_at < _SAMPLE:
            some = await rows.list_inspected_blobs(self._database, after=after, limit=_BLOBS)
            for digest, key, *_ in some:
                try:
                    (await self._blobs.open(key)).close()
                except (BytesMissing, OSError):
                    after, looked_at = digest, looked_at + 1
                else:
                    return
            if len(some) < _BLOBS:
                break
        if looked_at > _FEW:
            raise StoreEmpty(
                f"none of {looked_at} blobs is in the store: is its disk mounted, is it the right directory or bucket? "
                "Nothing was mended; where they are lost indeed, say --store-is-lost"
            )

    async def run(self) -> State:
        """Go on from where the state stands to the end. Raises DatabaseUnavailable, StoreUnavailable, and with `mend` Sealed."""
        phases: Mapping[str, Callable[[], Awaitable[None]]] = {
            "blobs": self._inspect_blobs,
            "images": self._inspect_images,
            "strays": self._inspect_strays,
            "store": self._inspect_store,
        }
        for phase in PHASES[PHASES.index(self.state.phase) :]:
            if phase != self.state.phase:
                self.state.phase, self.state.after = phase, []
                self._save(self.state)
            await phases[phase]()
        return self.state

    def _stand(self, *after: Any) -> None:
        """All before that is inspected."""
        self.state.after = list(after)
        self._save(self.state)

    async def _report(
        self,
        kind: Kind,
        where: str,
        what: str,
        images: Sequence[str] = (),
        mend: Callable[[], Unit[Any]] | None = None,
    ) -> None:
        mended = False
        if self._mend and mend is not None:
            mended = bool(await self._database.write(mend))
        finding = Finding(kind, where, what, tuple(images), mended)
        self.state.findings.append(finding)
        self._found(finding)

    # -- blobs

    async def _inspect_blobs(self) -> None:
        total, _ = await copies.count_blobs(self._database)
        while True:
            after = self.state.after[0] if self.state.after else ""
            some = await rows.list_inspected_blobs(self._database, after=after, limit=_BLOBS)
            for digest, key, size, linked, dead in some:
                if dead:
                    await self._inspect_tombstone(digest, key)
                if linked:
                    await self._inspect_bytes(digest, key, size)
                else:
                    await self._inspect_unlinked(digest)
                self.state.count("blobs")
                self._stand(digest)
                self._tell(Progress("blobs", self.state.counts["blobs"], total, self.state.counts.get("bytes", 0)))
            if len(some) < _BLOBS:
                return

    async def _inspect_tombstone(self, digest: str, key: str) -> None:
        found = await rows.find_blob_row(self._database, digest)
        if found is not None and found[0] == key:
            what = f"its key {key} has a tombstone"
            images = await rows.list_sufferers(self._database, digest)
            await self._report(Kind.KEY_CONDEMNED, digest, what, images, partial(rows.pardon, key))

    async def _inspect_unlinked(self, digest: str) -> None:
        if await rows.is_unlinked(self._database, digest):
            mend = partial(rows.condemn_unlinked_blob, digest, self._clock())
            await self._report(Kind.BLOB_UNLINKED, digest, "no repository links it", (), mend)

    async def _inspect_bytes(self, digest: str, key: str, size: int) -> None:
        fault = await self._look_at(digest, key, size)
        if fault is None:
            return
        current = await rows.find_blob_row(self._database, digest)
        if current is None or current[0] != key:  # deleted, or pushed anew, meanwhile
            return
        fault = await self._look_at(digest, *current)  # a hiccup of the disk is no loss
        if fault is None:
            return
        kind, what, real = fault
        images = await rows.list_sufferers(self._database, digest)
        mend = partial(rows.forget_blob, digest, key, self._clock())
        if kind is Kind.SIZE_WRONG:
            mend = partial(rows.correct_size, digest, key, real)
        await self._report(kind, digest, what, images, mend)

    async def _look_at(self, digest: str, key: str, size: int) -> tuple[Kind, str, int] | None:
        """What is wrong with the bytes, and how many there are."""
        try:
            content = await self._blobs.open(key)
        except BytesMissing:
            return Kind.BYTES_MISSING, f"the store has nothing under its key {key}", 0
        except OSError as error:
            return Kind.BYTES_MISSING, f"its key {key} cannot be read: {error.strerror}", 0
        real = content.size
        if real == size and not self._read_bytes:
            content.close()
            return None
        running = new_hash(algorithm_of(Digest(digest)))
        try:
            for offset in range(0, real, _READ):
                wanted = min(_READ, real - offset)
                await self._rate.take(wanted)
                running.update(await content.read(offset, wanted))
                self.state.count("bytes", wanted)
        except BytesMissing:
            return Kind.BYTES_WRONG, f"its bytes under the key {key} end early", 0
        except OSError as error:
            return Kind.BYTES_WRONG, f"its bytes under the key {key} cannot be read: {error.strerror}", 0
        finally:
            content.close()
        if running.hexdigest() != digest.partition(":")[2]:
            found = f"{digest.partition(':')[0]}:{running.hexdigest()}"
            return Kind.BYTES_WRONG, f"its {real} bytes under the key {key} have the digest {found}", real
        if real != size:
            return Kind.SIZE_WRONG, f"it has {real} bytes, its row says {size}", real
        return None

    # -- images

    async def _inspect_images(self) -> None:
        total = await rows.count_manifests(self._database)
        if self.state.after and self.state.after[1]:  # in the middle of a repository
            identifier, last, name = self.state.after
            await self._inspect_repository(identifier, name, last, total)
        while True:
            after = self.state.after[0] if self.state.after else -1
            some = await rows.list_repository_ids(self._database, after=after, limit=_REPOSITORIES)
            for identifier, name in some:
                await self._inspect_repository(identifier, name, "", total)
            if len(some) < _REPOSITORIES:
                return

    async def _inspect_repository(self, identifier: int, name: str, last: str, total: int) -> None:
        while True:
            some = await rows.list_manifests(self._database, identifier, after=last, limit=_MANIFESTS)
            for manifest in some:
                await self._inspect_manifest(identifier, name, manifest)
                last = manifest.digest
            self.state.count("images", len(some))
            self._tell(Progress("images", self.state.counts["images"], total))
            if len(some) < _MANIFESTS:
                break
            self._stand(identifier, last, name)
        for tag, digest in await rows.list_dangling_tags(self._database, identifier):
            await self._report(
                Kind.TAG_DANGLING,
                f"{name}:{tag}",
                f"it names {digest}, which is not in the repository",
                (),
                partial(rows.delete_dangling_tag, identifier, tag),
            )
        await self._inspect_named(identifier, name)
        for digest in await rows.list_kept(self._database, identifier):
            await self._report(
                Kind.LINK_KEPT,
                f"{name} {digest}",
                "no image of the repository names it",
                (),
                partial(rows.begin_grace, identifier, digest, self._clock()),
            )
        self._stand(identifier, "", name)

    async def _inspect_manifest(self, identifier: int, name: str, manifest: Inspected) -> None:
        if _fault_of(manifest) is None:
            return
        async with self._database.snapshot() as snapshot:
            now = await _drive(snapshot, rows.read_manifest(identifier, manifest.digest))
        fault = None if now is None else _fault_of(now)
        if now is None or fault is None:
            return
        kind, what = fault
        image = await rows.describe_image(self._database, identifier, name, manifest.digest)
        await self._report(
            kind,
            f"{name}@{manifest.digest}",
            what,
            (image,),
            partial(_mend_manifest, identifier, now.digest, self._clock()),
        )

    async def _inspect_named(self, identifier: int, name: str) -> None:
        """Whether what images name is there."""
        optional: dict[str, set[str]] = {}
        for manifest, digest, elsewhere in await rows.list_absent_blobs(self._database, identifier):
            if manifest not in optional:
                optional[manifest] = await self._optional(identifier, manifest)
            if digest in optional[manifest]:
                continue
            image = await rows.describe_image(self._database, identifier, name, manifest)
            where = f"{name}@{manifest}"
            if elsewhere:
                what = f"the repository lacks {digest}, which others have"
                mend = partial(rows.link_named, identifier, digest)
                await self._report(Kind.LINK_MISSING, where, what, (image,), mend)
            elif not self._allow_sparse:
                what = f"it names {digest}, which is lost: push it again, or delete the image"
                await self._report(Kind.BLOB_LOST, where, what, (image,))

    async def _optional(self, identifier: int, digest: str) -> set[str]:
        """What an image names and need not be here."""
        async with self._database.snapshot() as snapshot:
            manifest = await _drive(snapshot, rows.read_manifest(identifier, digest))
        if manifest is None:
            return set()
        try:
            parsed = parse_manifest(manifest.content, manifest.media_type)
        except ManifestMalformed:
            return set()
        required = {reference.digest for reference in parsed.references if reference.required}
        return {str(reference.digest) for reference in parsed.references if reference.digest not in required}

    # -- strays

    async def _inspect_strays(self) -> None:
        for table in rows.OF_REPOSITORIES:
            after = -1
            while (found := await rows.find_stray(self._database, table, after=after)) is not None:
                after, stray = found
                if stray:
                    await self._report(
                        Kind.ROW_STRAY,
                        f"{table}, repository {after}",
                        "there is no such repository",
                        (),
                        partial(rows.delete_stray, table, after),
                    )

    # -- the store

    async def _inspect_store(self) -> None:
        before = {upload.id: upload for upload in await rows.list_standing(self._database)}
        seen: set[str] = set()
        place = ""
        async for page in self._blobs.inventory(before=self._clock() + _LEFT_ALONE):
            seen.update(stored.stage or stored.key for stored in page.found)
            await self._inspect_page(
                [stored.key for stored in page.found if stored.written_at < self._clock() - _LEFT_ALONE],
                {stored.key: stored.stage for stored in page.found},
            )
            place = page.place
            self.state.count("stored", len(page.found))
            self._tell(Progress("store", self.state.counts["stored"]))
        for upload in await rows.list_standing(self._database):
            stood = before.get(upload.id)
            if stood is None or stood != upload or upload.stage in seen or upload.staged in seen:
                continue
            await self._report(
                Kind.UPLOAD_LOST,
                f"upload {upload.id}",
                f"its {upload.received} bytes are not in the store",
                (),
                partial(rows.end_lost_upload, upload),
            )
        self._stand(place)

    async def _inspect_page(self, keys: Sequence[str], stages: Mapping[str, str]) -> None:
        """Count what no row knows: the collector frees it."""
        known = await rows.list_known(self._database, keys)
        unknown = [key for key in keys if key not in known]
        if unknown:
            staged = await rows.list_stages(self._database)
            unknown = [key for key in unknown if (stages[key] or key) not in staged]
        self.state.count("orphans", len(unknown))


def _fault_of(manifest: Inspected) -> tuple[Kind, str] | None:
    """What is wrong with a manifest and what is recorded of it."""
    found = digest_of(manifest.content, algorithm_of(manifest.digest))
    if found != manifest.digest:
        return Kind.MANIFEST_DAMAGED, f"its content has the digest {found}"
    try:
        parsed = parse_manifest(manifest.content, manifest.media_type)
    except ManifestMalformed as error:
        return Kind.MANIFEST_DAMAGED, f"it cannot be read: {error}"
    named = {reference.digest: reference.kind for reference in parsed.references}
    wrong = named.keys() ^ manifest.references.keys()
    wrong |= {one for one, kind in named.items() if kind == "blob" and manifest.references.get(one) != "blob"}
    if wrong:
        return Kind.REFERENCES_WRONG, f"recorded and named differ in {', '.join(sorted(wrong)[:3])}"
    return _description_fault(manifest, parsed)


def _description_fault(manifest: Inspected, parsed: Manifest) -> tuple[Kind, str] | None:
    differing = [
        name
        for name, recorded, said in (
            ("subject", manifest.subject, parsed.subject),
            ("artifact type", manifest.artifact_type, parsed.artifact_type),
            ("annotations", manifest.annotations, rows.annotations_of(parsed)),
        )
        if recorded != said
    ]
    is_index = any(reference.kind != "blob" for reference in parsed.references)
    if not is_index and manifest.image_size != parsed.size:
        differing.append("size")
    return (Kind.DESCRIPTION_WRONG, f"recorded and said differ in {', '.join(differing)}") if differing else None


def _mend_manifest(repository_id: int, digest: Digest, now: float) -> Unit[bool]:
    manifest = yield from rows.read_manifest(repository_id, digest)
    fault = None if manifest is None else _fault_of(manifest)
    if manifest is None or fault is None:
        return False
    if fault[0] is Kind.MANIFEST_DAMAGED:
        yield from delete_manifest(repository_id, digest, now, keep_referenced=False)
    else:
        parsed = parse_manifest(manifest.content, manifest.media_type)
        yield from rows.rewrite_manifest(repository_id, digest, parsed)
    return True


async def _drive(snapshot: Snapshot, unit: Unit[T]) -> T:
    """Run a unit that only reads, at one moment."""
    try:
        statement = next(unit)
        while True:
            found: list[Row] = []
            async for some in snapshot.stream(*statement):
                found += some
            statement = unit.send(found)
    except StopIteration as done:
        value: T = done.value
        return value
