"""An archive in a bucket of S3, or of a server that speaks as S3 does: names are keys below a prefix."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import botocore.exceptions

from base.threads import Threads
from store.blobs.driver import BytesMissing, StoreUnavailable
from store.blobs.s3 import S3Settings, connect, drain, translated

T = TypeVar("T")

PART = 16 * 1024 * 1024
"""Bytes of a part while there are few: they double every 1,000 parts. What is smaller is put in one request."""
_PARTS_BEFORE_DOUBLING = 1000
_PIECE = 8 * 1024 * 1024
_TRIES = 3


class BucketArchive:
    """Implements `store.archive.Archive`."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self._client = connect(settings)
        self._threads = Threads(settings.threads, "archive")
        self._encryption: dict[str, str] = {}
        if settings.sse:
            self._encryption["ServerSideEncryption"] = settings.sse
        if settings.kms_key_id:
            self._encryption["SSEKMSKeyId"] = settings.kms_key_id

    @property
    def address(self) -> str:
        return f"s3://{self._settings.bucket}/{self._prefix}".rstrip("/")

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        key = f"{self._prefix}{name}"
        held: list[bytes] = []
        size = 0
        upload = ""
        parts: list[dict[str, Any]] = []
        try:
            async for piece in pieces:
                held.append(piece)
                size += len(piece)
                if size >= PART * 2 ** (len(parts) // _PARTS_BEFORE_DOUBLING):
                    if not upload:
                        made = await self._call("create_multipart_upload", Key=key, **self._encryption)
                        upload = made["UploadId"]
                    parts.append(await self._put_part(key, upload, len(parts) + 1, b"".join(held)))
                    held, size = [], 0
            if not upload:
                await self._call("put_object", Key=key, Body=b"".join(held), **self._encryption)
                return
            if held:
                parts.append(await self._put_part(key, upload, len(parts) + 1, b"".join(held)))
            await self._call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
        except BaseException:
            if upload:
                with contextlib.suppress(BytesMissing, StoreUnavailable):  # what is left is for `tidy`
                    await self._call("abort_multipart_upload", Key=key, UploadId=upload)
            raise

    async def _put_part(self, key: str, upload: str, number: int, body: bytes) -> dict[str, Any]:
        made = await self._call("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": made["ETag"]}

    async def read(self, name: str) -> AsyncIterator[bytes]:
        key = f"{self._prefix}{name}"
        size: int = (await self._call("head_object", Key=key))["ContentLength"]
        for start in range(0, size, _PIECE):
            yield await self._read(key, start, min(start + _PIECE, size))

    async def _read(self, key: str, start: int, end: int) -> bytes:
        """A piece, in a request of its own, so that a connection that breaks costs little."""
        for tried in range(_TRIES):
            found = await self._call("get_object", Key=key, Range=f"bytes={start}-{end - 1}")
            try:
                data = await self._threads.run(drain, found["Body"])
            except StoreUnavailable:
                if tried + 1 == _TRIES:
                    raise
                continue
            if len(data) == end - start:
                return data
        raise StoreUnavailable(f"the bucket does not give the bytes of {key}")

    async def list(self, prefix: str) -> AsyncIterator[list[tuple[str, int]]]:
        async for page in self._pages("list_objects_v2", Prefix=f"{self._prefix}{prefix}"):
            found = [(entry["Key"][len(self._prefix) :], entry["Size"]) for entry in page.get("Contents", ())]
            if found:
                yield found

    async def delete(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                await self._call("delete_object", Key=f"{self._prefix}{name}")
            except BytesMissing:
                continue

    async def tidy(self) -> None:
        async for page in self._pages("list_multipart_uploads", Prefix=self._prefix):
            for entry in page.get("Uploads", ()):
                await self._call("abort_multipart_upload", Key=entry["Key"], UploadId=entry["UploadId"])

    async def close(self) -> None:
        await self._threads.close()
        self._client.close()

    async def _pages(self, operation: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        paginator = self._client.get_paginator(operation)
        pages = iter(paginator.paginate(Bucket=self._settings.bucket, **parameters))
        while (page := await self._threads.run(self._asking, lambda: next(pages, None), "")) is not None:
            yield page

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One request, on a thread. Raises BytesMissing, NoRoom, StoreUnavailable."""
        request = getattr(self._client, operation)
        key = parameters.get("Key", "")
        return await self._threads.run(self._asking, lambda: request(Bucket=self._settings.bucket, **parameters), key)

    def _asking(self, request: Callable[[], T], key: str) -> T:
        try:
            return request()
        except botocore.exceptions.ClientError as error:
            raise translated(error, key, self._settings.bucket) from error
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"the bucket does not answer: {error}") from error
