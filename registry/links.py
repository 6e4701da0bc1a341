"""Links to the bytes of a layer, for GetDownloadUrlForLayer: signed, short-lived, good for one blob of one repository."""

from auth.errors import AuthError
from auth.tokens import Tokens
from base.digest import Digest
from base.web import Part, Reply
from registry import rows
from registry.errors import BlobUnknown
from registry.oci.blobs import parse_range
from registry.oci.call import RequestHeaders
from registry.pull import Pull
from store.database import Database

PREFIX = "/_blobs/"
LIFETIME = 3600
"""Seconds; ECR's links live about an hour."""
_AUDIENCE = "blob"


class Links:
    """Makes links and answers them."""

    def __init__(self, database: Database, pull: Pull, tokens: Tokens) -> None:
        self._database = database
        self._pull = pull
        self._tokens = tokens

    def make(self, repository_id: int, digest: Digest) -> str:
        """The path of a link to the blob."""
        token, _ = self._tokens.sign(_AUDIENCE, f"{repository_id}@{digest}", lifetime=LIFETIME)
        return PREFIX + token

    async def answer(self, method: str, path: str, headers: RequestHeaders) -> Reply:
        """GET or HEAD of a link. The link itself is the leave: whoever has it may read."""
        if method not in {"GET", "HEAD"}:
            return Reply(405, [("Allow", "GET, HEAD")])
        try:
            claims = await self._tokens.verify(path.removeprefix(PREFIX), _AUDIENCE)
        except AuthError as error:
            return Reply(403, [("Content-Type", "text/plain")], f"{error}\n".encode())
        repository, _, digest = claims.name.partition("@")
        blob = await rows.find_blob(self._database, int(repository), Digest(digest))
        if blob is None:
            raise BlobUnknown(f"the layer `{digest}` is no longer in the repository")
        fields = [("Content-Type", "application/octet-stream"), ("ETag", f'"{digest}"'), ("Accept-Ranges", "bytes")]
        if method == "HEAD":
            return Reply(200, fields, length=blob.size)
        wanted = headers.get("Range")
        part = parse_range(wanted, blob.size) if wanted else None
        content = await self._pull.open(blob)
        if part is None:
            return Reply(200, fields, Part(content, 0, blob.size))
        start, length = part
        return Reply(
            206,
            [*fields, ("Content-Range", f"bytes {start}-{start + length - 1}/{blob.size}")],
            Part(content, start, length),
        )
