"""A client of /v2/ for tests: one request an answer, nothing retried, nothing followed; and a bare connection."""

import base64
import contextlib
import hashlib
import http.client
import io
import json
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tests.live import LiveServer

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
TIMEOUT = 60.0

Body = bytes | Iterable[bytes] | io.IOBase | None


@dataclass(frozen=True)
class Answer:
    """Status, header fields and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of the OCI error."""
        return str(self.json["errors"][0]["code"])

    @property
    def message(self) -> str:
        return str(self.json["errors"][0]["message"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> tuple[int, str]:
        """(status, OCI code): what tables of errors compare."""
        return self.status, self.code

    def sameness(self) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """All of it but what differs from one answer to the next: its date and its request id."""
        kept = [(key.lower(), value) for key, value in self.headers.items()]
        return self.status, tuple(pair for pair in kept if pair[0] not in {"date", "x-amzn-requestid"}), self.body


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Client:
    """Speaks to a server over one connection that it keeps, or (`fresh`) over a new one for each request."""

    def __init__(
        self, server: LiveServer, *, authorization: str | None = None, host: str | None = None, fresh: bool = False
    ) -> None:
        self.server = server
        self.authorization = (
            basic(server.access_key_id, server.secret_access_key) if authorization is None else authorization
        )
        self._host = host
        self._fresh = fresh
        self._connection: http.client.HTTPConnection | None = None

    def __call__(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None, **fields: str
    ) -> Answer:
        """Send it and read the answer. `fields`: header fields, with _ for -."""
        connection = self._connection or self.server.connection(timeout=TIMEOUT)
        self._connection = None
        sent = {"Authorization": self.authorization} if self.authorization else {}
        if self._host:
            sent["Host"] = self._host
        sent |= {key.replace("_", "-"): value for key, value in fields.items()} | dict(headers or {})
        try:
            connection.request(method, path, body=body, headers=sent)  # type: ignore[arg-type]
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            connection.close()
            raise
        if self._fresh or response.will_close:
            connection.close()
        else:
            self._connection = connection
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What pushing is made of

    def begin(self, name: str, query: str = "") -> str:
        """A new upload's location."""
        answer = self("POST", f"/v2/{name}/blobs/uploads/{query}")
        assert answer.status == 202, answer
        return answer.headers["Location"]

    def push_blob(self, name: str, data: bytes) -> str:
        digest = digest_of(data)
        answer = self("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)
        assert answer.status == 201, answer
        return digest

    def push_manifest(self, name: str, manifest: bytes, reference: str | None = None, kind: str = IMAGE) -> str:
        digest = digest_of(manifest)
        answer = self("PUT", f"/v2/{name}/manifests/{reference or digest}", manifest, Content_Type=kind)
        assert answer.status == 201, answer
        assert answer.headers["Docker-Content-Digest"] == digest
        return digest

    def push_image(self, name: str, reference: str | None = None, *, layers: Iterable[bytes] = (b"a layer",)) -> str:
        """An image of those layers; returns its digest."""
        return self.push_manifest(name, self.image(name, layers), reference)

    def image(self, name: str, layers: Iterable[bytes] = (b"a layer",), **members: Any) -> bytes:
        """A manifest whose blobs are pushed."""
        config = descriptor(CONFIG, b"{}")
        self.push_blob(name, b"{}")
        found = []
        for layer in layers:
            self.push_blob(name, layer)
            found.append(descriptor(LAYER, layer))
        document = {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": found, **members}
        return json.dumps(document).encode()


def descriptor(kind: str, data: bytes, /, **members: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **members}


def with_query(location: str, query: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{query}"


class Wire:
    """A bare connection: what is sent goes out as it is."""

    def __init__(self, server: LiveServer, *, timeout: float = 20.0) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Everything, or as much as the server takes before it ends the connection."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def receive(self, method: str = "GET") -> Answer:
        """The next answer, by the rules of HTTP for the request's method."""
        response = http.client.HTTPResponse(_Kept(self._file), method=method)  # type: ignore[arg-type]
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def receive_line(self) -> bytes:
        return self._file.readline()

    def ends(self, within: float = 10.0) -> bool:
        """Whether the server ends the connection, with nothing more to say."""
        self.socket.settimeout(within)
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def is_silent(self, within: float = 0.3) -> bool:
        """Whether nothing comes for a moment, the connection being open."""
        self.socket.settimeout(within)
        try:
            self._file.peek(1)
        except TimeoutError:
            self._file = self.socket.makefile("rb")
            return True
        return False

    def reset(self) -> None:
        """End the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Kept:
    """Lets several responses be read from one connection."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def makefile(self, mode: str) -> "_Kept":
        return self

    def close(self) -> None:
        return

    def flush(self) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def request(method: str, path: str, *fields: str, authorization: str = "", body: bytes = b"") -> bytes:
    """The bytes of a request; nothing is added but Host and Authorization."""
    lines = [f"{method} {path} HTTP/1.1", "Host: registry.test"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1") + body


def eventually(look: Any, within: float = 15.0) -> Any:
    """The first true value of `look()`; fails when there is none in time. For what other processes do in their time."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.02)
    return found
