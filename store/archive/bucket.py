"""An archive in a bucket of S3, or of a server that speaks as S3 does: names are keys below a prefix."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from store.blobs.driver import StoreUnavailable
from store.bucket import Bucket, Bytes, S3Settings

PART = 16 * 1024 * 1024
"""Bytes of a part while there are few: they double every 1,000 parts. What is smaller is put in one request."""
_PARTS_BEFORE_DOUBLING = 1000
_PIECE = 8 * 1024 * 1024


class BucketArchive:
    """Implements `store.archive.Archive`."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self._bucket = Bucket(settings)

    @property
    def address(self) -> str:
        return f"s3://{self._settings.bucket}/{self._prefix}".rstrip("/")

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        key = f"{self._prefix}{name}"
        held: list[bytes] = []
        size = 0
        upload = ""
        etags: dict[int, str] = {}
        try:
            async for piece in pieces:
                held.append(piece)
                size += len(piece)
                if size >= PART * 2 ** (len(etags) // _PARTS_BEFORE_DOUBLING):
                    upload = upload or await self._bucket.begin(key)
                    number = len(etags) + 1
                    etags[number] = await self._bucket.put_part(key, upload, number, Bytes(b"".join(held)))
                    held, size = [], 0
            if not upload:
                await self._bucket.put(key, Bytes(b"".join(held)))
                return
            if held:
                number = len(etags) + 1
                etags[number] = await self._bucket.put_part(key, upload, number, Bytes(b"".join(held)))
            await self._bucket.complete(key, upload, etags)
        except BaseException:
            if upload:
                with contextlib.suppress(StoreUnavailable):  # what is left is for `tidy`
                    await self._bucket.abort(key, upload)
            raise

    async def read(self, name: str) -> AsyncIterator[bytes]:
        key = f"{self._prefix}{name}"
        size = await self._bucket.head(key)
        for start in range(0, size, _PIECE):  # in requests of their own, so that a connection that breaks costs little
            wanted = min(_PIECE, size - start)
            _, data = await self._bucket.get(key, start, wanted)
            if len(data) != wanted:
                raise StoreUnavailable(f"the bucket does not give the bytes of {key}")
            yield data

    async def list(self, prefix: str) -> AsyncIterator[list[tuple[str, int]]]:
        async for page in self._bucket.list_objects(f"{self._prefix}{prefix}"):
            found = [(entry.key[len(self._prefix) :], entry.size) for entry in page]
            if found:
                yield found

    async def delete(self, names: Sequence[str]) -> None:
        for name in names:
            await self._bucket.delete(f"{self._prefix}{name}")

    async def tidy(self) -> None:
        async for page in self._bucket.list_uploads(self._prefix):
            for entry in page:
                await self._bucket.abort(entry.key, entry.upload)

    async def close(self) -> None:
        await self._bucket.close()
