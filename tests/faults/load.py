"""Pushing and deleting at random, with a ledger of what was acknowledged: what a server must know after any crash."""

import contextlib
import http.client
import json
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.live import LiveServer
from tests.wire.client import CONFIG, IMAGE, LAYER, Answer, Client, descriptor, digest_of, with_query

Key = tuple[str, str]
"""(kind, digest or tag): kind is blob, manifest or tag."""
Gone = (OSError, http.client.HTTPException)
SIZES = (0, 1, 700, 20_000, 262_143, 262_144, 262_145, 600_000, 2_000_000)


@dataclass
class Begun:
    """An upload under way: so many bytes of `data` were acknowledged, and perhaps some more were taken."""

    location: str
    data: bytes
    acknowledged: int = 0
    sent: int = 0
    closing: bool = False


@dataclass
class Ledger:
    """What one pusher knows of its repository. Changes under way may have happened wholly, or not at all."""

    name: str
    held: dict[Key, bytes | str | None] = field(default_factory=dict)
    under_way: dict[Key, bytes | str | None] = field(default_factory=dict)
    begun: Begun | None = None
    fresh: set[Key] = field(default_factory=set)
    acknowledged: int = 0

    @contextlib.contextmanager
    def changing(self, changes: dict[Key, bytes | str | None]) -> Iterator[None]:
        self.ask(changes)
        yield
        self.settle(happened=True)

    def ask(self, changes: dict[Key, bytes | str | None]) -> None:
        """They are under way from now on."""
        self.under_way = changes

    def advance(self, begun: Begun) -> None:
        """What was sent of an upload is acknowledged."""
        begun.acknowledged = begun.sent

    def settle(self, *, happened: bool) -> None:
        if happened:
            self.held.update(self.under_way)
            self.fresh.update(self.under_way)
            self.acknowledged += 1
        self.under_way = {}

    def present(self, kind: str) -> list[str]:
        return [name for (found, name), value in self.held.items() if found == kind and value is not None]


class Pusher(threading.Thread):
    """Works on its own repository until it is told to stop or the server goes away."""

    def __init__(
        self, server: LiveServer, ledger: Ledger, neighbours: list[str], seed: str, *, stays: bool = False
    ) -> None:
        super().__init__(daemon=True)
        self.ledger = ledger
        self.failure: Exception | None = None
        self.stopping = threading.Event()
        self._client = Client(server)
        self._neighbours = neighbours
        self._random = random.Random(seed)
        self._stays = stays

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                try:
                    self._act()
                except Gone:
                    self._client.close()
                    if not self._stays:
                        return
                    self._recover()
        except Exception as error:  # noqa: BLE001 - the test raises it
            self.failure = error
        finally:
            self._client.close()

    def _recover(self) -> None:
        """One worker died, others live: find out what became of what was under way."""
        while not self.stopping.is_set():
            try:
                settle(self._client, self.ledger)
                return
            except Gone:
                self._client.close()

    def _act(self) -> None:
        actions: list[tuple[int, Callable[[], None]]] = [
            (4, self._post_whole), (4, self._put_whole), (4, self._chunks), (6, self._put_image), (1, self._move_tag),
            (2, self._delete_tag), (2, self._delete_manifest), (2, self._delete_blob), (2, self._mount), (1, self._cancel),
        ]  # fmt: skip
        if self.ledger.begun is not None:
            self._chunks()
        else:
            self._random.choices([act for _, act in actions], [weight for weight, _ in actions])[0]()

    def _ask(self, method: str, path: str, *arguments: Any, **fields: str) -> Answer:
        return self._client(method, f"/v2/{self.ledger.name}/{path}", *arguments, **fields)

    def _data(self) -> bytes:
        size = self._random.choice(SIZES)
        if self._random.random() < 0.3:  # from a small pool, so that pushers meet on the same digests
            return random.Random(size * 10 + self._random.randrange(3)).randbytes(size)
        return self._random.randbytes(size)

    def _post_whole(self) -> None:
        data = self._data()
        digest = digest_of(data)
        if data:
            with self.ledger.changing({("blob", digest): data}):
                expect(self._ask("POST", f"blobs/uploads/?digest={digest}", data), 201)

    def _put_whole(self) -> None:
        data = self._data()
        digest = digest_of(data)
        location = expect(self._ask("POST", "blobs/uploads/"), 202).headers["Location"]
        with self.ledger.changing({("blob", digest): data}):
            expect(self._client("PUT", with_query(location, f"digest={digest}"), data), 201)

    def _chunks(self) -> None:
        begun = self.ledger.begun
        if begun is None:
            location = expect(self._ask("POST", "blobs/uploads/"), 202).headers["Location"]
            begun = self.ledger.begun = Begun(location, self._random.randbytes(self._random.choice(SIZES[2:])))
        send_rest(self._client, self.ledger, begun, self._random)

    def _put_image(self) -> None:
        blobs = self._random.sample(sorted(self.ledger.present("blob")), min(2, len(self.ledger.present("blob"))))
        if not blobs:
            return
        contents = [self.ledger.held["blob", digest] for digest in blobs]
        config, *layers = [
            descriptor(CONFIG if not position else LAYER, content)  # type: ignore[arg-type]
            for position, content in enumerate(contents)
        ]
        document = {
            "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers,
            "annotations": {"of": str(self._random.random())},
        }  # fmt: skip
        content = json.dumps(document).encode()
        digest, tag = digest_of(content), f"tag-{self._random.randrange(12)}"
        reference = tag if self._random.random() < 0.7 else digest
        changes: dict[Key, bytes | str | None] = {("manifest", digest): content}
        if reference == tag:
            changes["tag", tag] = digest
        with self.ledger.changing(changes):
            expect(self._ask("PUT", f"manifests/{reference}", content, Content_Type=IMAGE), 201)

    def _move_tag(self) -> None:
        digest = self._one_of("manifest")
        if digest is not None:
            content = self.ledger.held["manifest", digest]
            names = [f"tag-{number}" for number in self._random.sample(range(12), 3)]
            with self.ledger.changing({("tag", name): digest for name in names}):
                query = "&".join(f"tag={name}" for name in names)
                expect(self._ask("PUT", f"manifests/{digest}?{query}", content, Content_Type=IMAGE), 201)

    def _delete_tag(self) -> None:
        tag = self._one_of("tag")
        if tag is not None:
            with self.ledger.changing({("tag", tag): None}):
                expect(self._ask("DELETE", f"manifests/{tag}"), 202)

    def _delete_manifest(self) -> None:
        digest = self._one_of("manifest")
        if digest is not None:
            tags = [tag for tag in self.ledger.present("tag") if self.ledger.held["tag", tag] == digest]
            changes: dict[Key, bytes | str | None] = {("manifest", digest): None}
            with self.ledger.changing({**changes, **{("tag", tag): None for tag in tags}}):
                expect(self._ask("DELETE", f"manifests/{digest}"), 202)

    def _delete_blob(self) -> None:
        used = {
            entry["digest"]
            for digest in self.ledger.present("manifest")
            for document in [json.loads(self.ledger.held["manifest", digest])]  # type: ignore[arg-type]
            for entry in [document["config"], *document["layers"]]
        }
        digest = self._one_of("blob")
        if digest is not None:
            if digest in used:
                expect(self._ask("DELETE", f"blobs/{digest}"), 405)
            else:
                with self.ledger.changing({("blob", digest): None}):
                    expect(self._ask("DELETE", f"blobs/{digest}"), 202)

    def _mount(self) -> None:
        size = self._random.choice(SIZES)
        data = random.Random(size * 10 + self._random.randrange(3)).randbytes(size)
        digest = digest_of(data)
        if self.ledger.held.get(("blob", digest)) is not None:
            return
        self.ledger.ask({("blob", digest): data})
        source = self._random.choice(self._neighbours)
        answer = expect(self._ask("POST", f"blobs/uploads/?mount={digest}&from={source}"), 201, 202, 404)
        self.ledger.settle(happened=answer.status == 201)

    def _cancel(self) -> None:
        location = expect(self._ask("POST", "blobs/uploads/"), 202).headers["Location"]
        expect(self._client("PATCH", location, self._random.randbytes(300_000)), 202)
        expect(self._client("DELETE", location), 204)

    def _one_of(self, kind: str) -> str | None:
        found = sorted(self.ledger.present(kind))
        return self._random.choice(found) if found else None


def send_rest(client: Client, ledger: Ledger, begun: Begun, source: random.Random) -> None:
    """Bring an upload to its end in chunks."""
    digest = digest_of(begun.data)
    while begun.acknowledged < len(begun.data):
        step = source.choice((500, 100_000, 300_000, 1_000_000))
        chunk = begun.data[begun.acknowledged : begun.acknowledged + step]
        last = begun.acknowledged + len(chunk) == len(begun.data)
        begun.sent = begun.acknowledged + len(chunk)
        span = f"{begun.acknowledged}-{begun.sent - 1}"
        if last and source.random() < 0.5:
            _close(client, ledger, begun, digest, chunk, span)
            return
        answer = expect(client("PATCH", begun.location, chunk, Content_Range=span), 202)
        assert answer.headers["Range"] == f"0-{begun.sent - 1}"
        ledger.advance(begun)
    _close(client, ledger, begun, digest, None, None)


def _close(client: Client, ledger: Ledger, begun: Begun, digest: str, chunk: bytes | None, span: str | None) -> None:
    begun.closing = True
    with ledger.changing({("blob", digest): begun.data}):
        headers = {"Content-Range": span} if span else {}
        expect(client("PUT", with_query(begun.location, f"digest={digest}"), chunk, headers), 201)
        ledger.begun = None


def expect(answer: Answer, *statuses: int) -> Answer:
    assert answer.status in statuses, (answer.status, answer.body[:500])
    return answer


# What a server that came back has to know


def settle(client: Client, ledger: Ledger) -> None:
    """Find out which of two is true of what was under way: all of it happened, or nothing did. Then go on with an upload."""
    if ledger.under_way:
        after = [_is(client, ledger.name, key, value) for key, value in ledger.under_way.items()]
        before = [_is(client, ledger.name, key, ledger.held.get(key)) for key in ledger.under_way]
        assert all(after) or all(before), f"half of {sorted(ledger.under_way)} happened in {ledger.name}"
        ledger.settle(happened=all(after) and not all(before))
    begun = ledger.begun
    if begun is None:
        return
    state = client("GET", begun.location)
    if state.status == 404:
        assert begun.closing, "the upload is gone although nothing closed it"
        assert _is(client, ledger.name, ("blob", digest_of(begun.data)), begun.data)
        ledger.begun = None
        return
    assert state.status == 204, state
    received = int(state.headers["Range"].partition("-")[2]) + 1
    possible = {begun.acknowledged, begun.sent}
    assert received in possible or (received == 1 and 0 in possible), (received, possible)
    begun.acknowledged = 0 if received == 1 else received
    begun.closing = False
    send_rest(client, ledger, begun, random.Random(1))


def verify(client: Client, ledger: Ledger, keys: set[Key] | None = None) -> None:
    """Everything acknowledged is there, to the byte, and what was deleted is not."""
    for key in sorted(ledger.held if keys is None else keys):
        value = ledger.held[key]
        assert _is(client, ledger.name, key, value), (
            f"{key} of {ledger.name} is not as acknowledged ({value is not None})"
        )


def _is(client: Client, name: str, key: Key, value: bytes | str | None) -> bool:
    """Whether the server has what the ledger says. What is there has to be whole in any case."""
    kind, reference = key
    path = f"/v2/{name}/{'blobs' if kind == 'blob' else 'manifests'}/{reference}"
    answer = client("GET", path)
    if answer.status == 404:
        return value is None
    assert answer.status == 200, (path, answer.status, answer.body[:300])
    digest = answer.headers["Docker-Content-Digest"]
    assert digest_of(answer.body) == digest, f"{path} is not what its digest says"
    return digest == value if kind == "tag" else value is not None
