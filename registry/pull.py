"""Getting manifests and blobs."""

from collections.abc import Callable

from base.clock import Clock
from base.digest import Digest
from registry import rows
from registry.errors import BlobUnknown, ManifestUnknown, RepositoryNotFound
from registry.names import RegistryId, RepositoryName, Tag
from registry.rows import Blob, StoredManifest
from store.blobs.driver import BlobDriver, Content
from store.database import Database, Sealed

PULL_RESOLUTION = 3600.0
"""Seconds: a pull is recorded if the one on record is older. ECR promises 24 hours (ImageDetail.lastRecordedPullTime)."""


class Pull:
    """The use-cases of pulling."""

    def __init__(
        self,
        database: Database,
        blobs: BlobDriver,
        *,
        clock: Clock,
        grace: float,
        reaches_store: Callable[[str], bool] = lambda _: True,
        notes: Database | None = None,
    ) -> None:
        """When something was pulled is written to `notes`: the same database, perhaps, without heeding its seals."""
        self._database = database
        self._notes = notes or database
        self._blobs = blobs
        self._clock = clock
        self._renew_after = grace / 4
        self._reaches_store = reaches_store
        self._pulls: dict[tuple[int, str], float] = {}

    async def manifest(
        self, registry: RegistryId, name: RepositoryName, *, digest: Digest | None = None, tag: Tag | None = None
    ) -> StoredManifest:
        """The manifest under a digest or a tag. Raises RepositoryNotFound, ManifestUnknown."""
        found = await rows.find_manifest(self._database, registry, name, digest=digest, tag=tag)
        if found is None:
            raise RepositoryNotFound(registry, name)
        repository_id, manifest = found
        if manifest is None:
            raise ManifestUnknown
        self._note(repository_id, manifest)
        return manifest

    async def peek(
        self, registry: RegistryId, name: RepositoryName, *, digest: Digest | None = None, tag: Tag | None = None
    ) -> StoredManifest:
        """Like `manifest`, but no pull: nothing is recorded."""
        found = await rows.find_manifest(self._database, registry, name, digest=digest, tag=tag)
        if found is None:
            raise RepositoryNotFound(registry, name)
        if found[1] is None:
            raise ManifestUnknown
        return found[1]

    async def blob(self, registry: RegistryId, name: RepositoryName, digest: Digest) -> Blob:
        """A blob of that repository. Raises RepositoryNotFound, BlobUnknown."""
        found = await rows.find_named_blob(self._database, registry, name, digest)
        if found is None:
            raise RepositoryNotFound(registry, name)
        if found[1] is None:
            raise BlobUnknown(f"the blob `{digest}` is not in the repository `{name}`")
        return found[1]

    async def confirm_blob(self, registry: RegistryId, name: RepositoryName, digest: Digest) -> Blob:
        """Like `blob`, for an answer that lets a client skip an upload: the blob's grace begins anew, coarsely."""
        found = await rows.find_named_blob(self._database, registry, name, digest)
        if found is None:
            raise RepositoryNotFound(registry, name)
        repository_id, blob = found
        if blob is None or not await self.renew(repository_id, blob):
            raise BlobUnknown(f"the blob `{digest}` is not in the repository `{name}`")
        return blob

    async def renew(self, repository_id: int, blob: Blob) -> bool:
        """Begin the grace of a blob anew if a good part of it is over. False where the collector was quicker."""
        now = self._clock()
        if now - blob.kept_at < self._renew_after:
            return True
        try:
            return await self._database.write(lambda: rows.keep_blob(repository_id, blob.digest, now), durable=False)
        except Sealed:  # nobody may push, and nothing is collected
            return True

    async def open(self, blob: Blob) -> Content:
        """The bytes of a blob. Raises BytesMissing where the store has lost them."""
        return await self._blobs.open(blob.key)

    async def url(self, blob: Blob, *, seconds: int, client: str) -> str | None:
        """A short-lived address of the blob's bytes in the store itself, or None: they are streamed from here.

        `client` is the address that asks: some cannot reach the store.
        """
        if not self._reaches_store(client):
            return None
        return await self._blobs.url(blob.key, seconds=seconds)

    def note_pull(self, repository_id: int, manifest: StoredManifest) -> None:
        """Remember a pull that came by another way than `manifest`."""
        self._note(repository_id, manifest)

    async def record(self) -> float:
        """Write down the pulls since the last call; returns seconds until the next. A background loop's round."""
        pulls, self._pulls = self._pulls, {}
        if pulls:
            seen = [(repository_id, digest, at) for (repository_id, digest), at in pulls.items()]
            await self._notes.write(lambda: rows.record_pulls(seen), durable=False)
        return 1.0

    def _note(self, repository_id: int, manifest: StoredManifest) -> None:
        now = self._clock()
        if manifest.pulled_at is None or now - manifest.pulled_at > PULL_RESOLUTION:
            self._pulls[repository_id, manifest.digest] = now
