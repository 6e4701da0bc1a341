"""Two processes of a registry, whatever is asked of them in whatever order, and a small model that has to agree.

The model is what a person would say: a repository has blobs, manifests and tags; what a manifest names stays; what
nothing names goes when its grace is over; an upload is the bytes that were acknowledged, in order.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from base.digest import digest_of
from registry.names import RepositoryName
from registry.uploads import FIRST_READ, ClientGone
from tests.fronts import Answer, Front, open_front
from tests.rooms import GRACE, HOME, SETTLE, Bytes, Time, announced, patterned, quick_directory, read_key
from tests.unit.registry.test_push_and_pull import described, image, index

LONG = os.environ.get("LONGSHORE_LONG") == "1"
EXPIRY = 1e7
NAMES = ("one", "team/two")
TAGS = ("latest", "v1", "v2")
SIZES = (0, 1, 5000, FIRST_READ - 1, FIRST_READ, FIRST_READ + 1, 2 * FIRST_READ + 5)
T = TypeVar("T")

names = st.sampled_from(NAMES)
fronts = st.integers(0, 1)
rarely = st.integers(0, 7)
"""What undoes much of what came before happens only at 0."""
picks = st.integers(0, 30)
sizes = st.sampled_from(SIZES)
seeds = st.integers(0, 3)
algorithms = st.sampled_from(["sha256", "sha256", "sha512"])


@dataclass
class Stored:
    """A manifest."""

    content: bytes
    blobs: set[str]
    subject: str | None = None


@dataclass
class Repository:
    blobs: dict[str, float] = field(default_factory=dict)
    """Digest -> when its grace began."""
    manifests: dict[str, Stored] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def names(self, digest: str) -> bool:
        return any(digest in manifest.blobs for manifest in self.manifests.values())


class RegistryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Time()
        self.directory = tempfile.TemporaryDirectory(dir=quick_parent())
        self.fronts: list[Front] = []
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.contents: dict[str, bytes] = {}
        """Every blob that ever was, by digest."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def ask(self, which: int, method: str, target: str, body: bytes | Bytes = b"", **headers: str) -> Answer:
        return self.run(self.fronts[which].ask(method, target, body, **headers))

    def open(self) -> Front:
        return self.run(open_front(Path(self.directory.name), self.clock, expiry=EXPIRY))

    @initialize()
    def begin(self) -> None:
        self.fronts = [self.open(), self.open()]
        for name in NAMES:
            self.run(self.fronts[0].house.repository(name))
            self.repositories[name] = Repository()

    def teardown(self) -> None:
        try:
            if self.fronts:
                self.everything_is_as_the_model_says()
                self.nothing_is_left_when_everything_is_deleted()
        finally:
            for front in self.fronts:
                self.run(front.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.directory.cleanup()

    # -- the model

    def blob_came(self, name: str, data: bytes, digest: str) -> None:
        assert digest in {digest_of(data), digest_of(data, "sha512")}
        self.contents[digest] = data
        self.repositories[name].blobs[digest] = self.clock()

    def pick_upload(self, number: int) -> str:
        """One of two at the most, so that much happens to each; begun if need be."""
        if not self.uploads or (len(self.uploads) < 2 and number % 4 == 0):
            name = NAMES[number % len(NAMES)]
            answer = self.ask(number % 2, "POST", f"/v2/{name}/blobs/uploads/")
            assert answer.status == 202
            self.uploads[answer.headers["Location"]] = (name, b"")
        return list(self.uploads)[number % len(self.uploads)]

    def pick_digest(self, number: int) -> str:
        known = list(self.contents) or [digest_of(b"never pushed")]
        return known[number % len(known)]

    # -- uploads

    @rule(
        number=picks,
        acts=st.lists(
            st.tuples(
                st.sampled_from(
                    ["append", "append", "at once", "elsewhere", "vanish", "vanish closing", "wrong digest"]
                ),
                fronts,
                sizes,
                seeds,
            ),
            min_size=1,
            max_size=5,
        ),
    )
    def bring_bytes(self, number: int, acts: list[tuple[str, int, int, int]]) -> None:
        """Several requests for one upload, well behaved or not, by either process."""
        self.pick_upload(number)
        for act, front, size, seed in acts:
            if act == "append":
                self.append(number, front, size, seed, ranged=seed % 2 == 0, streamed=seed % 3 == 0)
            elif act == "at once":
                self.append_at_once(number, (size, SIZES[seed]))
            elif act == "elsewhere":
                self.append_elsewhere(number, front, seed + 1 if size % 2 else -seed - 1)
            elif act == "wrong digest":
                self.close_with_a_wrong_digest(number, front, size)
            else:
                self.vanish(number, front, size, closing=act == "vanish closing")

    def append(self, number: int, front: int, size: int, seed: int, ranged: bool, streamed: bool) -> None:
        location = self.pick_upload(number)
        name, had = self.uploads[location]
        data = patterned(size, seed)
        body = Bytes(data) if streamed else announced(data)
        headers = {"Content_Range": f"{len(had)}-{len(had) + size - 1}"} if ranged and size else {}
        answer = self.ask(front, "PATCH", location, body, **headers)
        assert answer.status == 202, answer
        self.uploads[location] = (name, had + data)
        assert answer.headers["Range"] == f"0-{max(0, len(had + data) - 1)}"

    def append_at_once(self, number: int, sizes: tuple[int, int]) -> None:
        """By both processes, for the same place: never both, never a mixture."""
        location = self.pick_upload(number)
        name, had = self.uploads[location]
        chunks = [patterned(max(1, size), 7 + which) for which, size in enumerate(sizes)]

        async def both() -> list[Answer]:
            return await asyncio.gather(
                *(
                    front.ask("PATCH", location, chunk, Content_Range=f"{len(had)}-{len(had) + len(chunk) - 1}")
                    for front, chunk in zip(self.fronts, chunks, strict=True)
                )
            )

        answers = self.run(both())
        assert sorted(answer.status for answer in answers) == [202, 416]
        winner = next(chunk for answer, chunk in zip(answers, chunks, strict=True) if answer.status == 202)
        self.uploads[location] = (name, had + winner)

    def append_elsewhere(self, number: int, front: int, offset: int) -> None:
        location = self.pick_upload(number)
        start = len(self.uploads[location][1]) + offset
        if start < 0:
            return
        answer = self.ask(front, "PATCH", location, b"xxx", Content_Range=f"{start}-{start + 2}")
        assert answer.status == 416

    def vanish(self, number: int, front: int, size: int, closing: bool) -> None:
        """A client that went away in the middle of its bytes counts for nothing."""
        location = self.pick_upload(number)
        body = Bytes(patterned(size, 9), length=size + 1, gone=True)
        try:
            if closing:
                self.ask(front, "PUT", f"{location}?digest={digest_of(b'x')}", body)
            else:
                self.ask(front, "PATCH", location, body)
        except ClientGone:
            return
        raise AssertionError("there was an answer")

    @rule(number=picks, front=fronts, size=sizes, seed=seeds, with_body=st.booleans(), algorithm=algorithms)
    def close_upload(self, number: int, front: int, size: int, seed: int, with_body: bool, algorithm: str) -> None:
        location = self.pick_upload(number)
        name, data = self.uploads[location]
        last = patterned(size, seed) if with_body else b""
        digest = digest_of(data + last, algorithm)
        answer = self.ask(front, "PUT", f"{location}?digest={digest}", last)
        assert (answer.status, answer.digest) == (201, digest)
        del self.uploads[location]
        self.blob_came(name, data + last, digest)

    def close_with_a_wrong_digest(self, number: int, front: int, size: int) -> None:
        location = self.pick_upload(number)
        answer = self.ask(front, "PUT", f"{location}?digest={digest_of(b'not these')}", patterned(size, 8))
        assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])

    @rule(number=picks, front=fronts, chance=rarely)
    def cancel(self, number: int, front: int, chance: int) -> None:
        if chance:
            return
        location = self.pick_upload(number)
        assert self.ask(front, "DELETE", location).status == 204
        del self.uploads[location]
        assert self.ask(front, "PATCH", location, b"late").codes == ["BLOB_UPLOAD_UNKNOWN"]

    @rule(name=names, front=fronts, size=sizes, seed=seeds, algorithm=algorithms)
    def push_whole(self, name: str, front: int, size: int, seed: int, algorithm: str) -> None:
        data = patterned(size, seed)
        digest = digest_of(data, algorithm)
        answer = self.ask(front, "POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data)
        if answer.status == 202:  # no bytes yet, for a digest of some: a session
            assert self.ask(front, "DELETE", answer.headers["Location"]).status == 204
            return
        assert answer.status == 201
        self.blob_came(name, data, digest)

    # -- blobs

    @rule(into=names, source=names, front=fronts, number=picks, named=st.booleans())
    def mount(self, into: str, source: str, front: int, number: int, named: bool) -> None:
        digest = self.pick_digest(number)
        query = f"mount={digest}" + (f"&from={source}" if named else "")
        answer = self.ask(front, "POST", f"/v2/{into}/blobs/uploads/?{query}")
        sources = [source] if named else NAMES
        if any(digest in self.repositories[name].blobs for name in sources):
            assert answer.status == 201
            blobs = self.repositories[into].blobs
            blobs[digest] = max(blobs.get(digest, 0.0), self.clock())
        else:
            assert answer.status == 202
            assert self.ask(front, "DELETE", answer.headers["Location"]).status == 204

    @rule(name=names, front=fronts, number=picks)
    def look(self, name: str, front: int, number: int) -> None:
        """HEAD: whoever hears that a blob is there may leave it out of its push."""
        digest = self.pick_digest(number)
        blobs = self.repositories[name].blobs
        answer = self.ask(front, "HEAD", f"/v2/{name}/blobs/{digest}")
        assert answer.status == (200 if digest in blobs else 404)
        if digest in blobs:
            assert answer.length == len(self.contents[digest])
            if self.clock() - blobs[digest] >= GRACE / 4:
                blobs[digest] = self.clock()

    @rule(
        name=names,
        front=fronts,
        number=picks,
        before=st.sampled_from([0.0, 0.5, 0.9]),
        after=st.sampled_from([0.3, 0.7]),
    )
    def look_and_leave_out_of_a_push(self, name: str, front: int, number: int, before: float, after: float) -> None:
        """Who heard that a blob is there has three quarters of the grace before them, whatever the collector does."""
        digest = self.pick_digest(number)
        self.wait(before * GRACE)
        self.collect(1 - front, orphans=False)
        self.look(name, front, number)
        if digest in self.repositories[name].blobs:
            self.wait(after * GRACE)
            self.collect(1 - front, orphans=True)
            assert self.put(front, name, image(digest), {digest}, [], None).status == 201

    @rule(name=names, front=fronts, number=picks)
    def delete_blob(self, name: str, front: int, number: int) -> None:
        digest = self.pick_digest(number)
        repository = self.repositories[name]
        answer = self.ask(front, "DELETE", f"/v2/{name}/blobs/{digest}")
        if repository.names(digest):
            assert answer.status == 405
        elif digest in repository.blobs:
            assert answer.status == 202
            del repository.blobs[digest]
        else:
            assert answer.status == 404

    # -- manifests

    def put(
        self, front: int, name: str, content: bytes, blobs: set[str], tags: list[str], subject: str | None
    ) -> Answer:
        digest = digest_of(content)
        reference = tags[0] if tags else digest
        query = "?" + "&".join(f"tag={tag}" for tag in tags[1:]) if tags[1:] else ""
        answer = self.ask(front, "PUT", f"/v2/{name}/manifests/{reference}{query}", content)
        if answer.status == 201:
            repository = self.repositories[name]
            repository.manifests.setdefault(digest, Stored(content, blobs, subject))
            repository.tags.update(dict.fromkeys(tags, digest))
            assert answer.digest == digest
        return answer

    @rule(
        name=names, front=fronts, numbers=st.lists(picks, min_size=1, max_size=3), tags=st.lists(st.sampled_from(TAGS), max_size=2),
        about=st.none() | picks,
    )  # fmt: skip
    def put_image(self, name: str, front: int, numbers: list[int], tags: list[str], about: int | None) -> None:
        blobs = [self.pick_digest(number) for number in numbers]
        known = [digest for repository in self.repositories.values() for digest in repository.manifests]
        subject = known[about % len(known)] if known and about is not None else None
        more = {"subject": described(subject, 1)} if subject else {}
        repository = self.repositories[name]
        content = image(*blobs, **more)
        complete = digest_of(content) in repository.manifests or all(digest in repository.blobs for digest in blobs)
        answer = self.put(front, name, content, set(blobs), tags, subject)
        if complete:
            assert answer.status == 201
        else:
            assert (answer.status, answer.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"])

    @rule(
        name=names, front=fronts, numbers=st.lists(picks, max_size=3), tags=st.lists(st.sampled_from(TAGS), max_size=1)
    )
    def put_index(self, name: str, front: int, numbers: list[int], tags: list[str]) -> None:
        known = [digest for repository in self.repositories.values() for digest in repository.manifests]
        children = [known[number % len(known)] for number in numbers] if known else []
        content = index(*children)
        own = self.repositories[name].manifests
        complete = digest_of(content) in own or all(digest in own for digest in children)
        answer = self.put(front, name, content, set(), tags, None)
        if complete:
            assert answer.status == 201
        else:
            assert (answer.status, answer.codes) == (404, ["MANIFEST_BLOB_UNKNOWN"])

    @rule(name=names, front=fronts, number=picks)
    def delete_manifest(self, name: str, front: int, number: int) -> None:
        repository = self.repositories[name]
        if number % 2:
            return
        if not repository.manifests:
            assert self.ask(front, "DELETE", f"/v2/{name}/manifests/{digest_of(b'absent')}").status == 404
            return
        digest = list(repository.manifests)[number % len(repository.manifests)]
        assert self.ask(front, "DELETE", f"/v2/{name}/manifests/{digest}").status == 202
        gone = repository.manifests.pop(digest)
        for blob in gone.blobs:
            if not repository.names(blob):
                repository.blobs[blob] = self.clock()
        repository.tags = {tag: its for tag, its in repository.tags.items() if its != digest}

    @rule(name=names, front=fronts, tag=st.sampled_from(TAGS))
    def delete_tag(self, name: str, front: int, tag: str) -> None:
        answer = self.ask(front, "DELETE", f"/v2/{name}/manifests/{tag}")
        assert answer.status == (202 if self.repositories[name].tags.pop(tag, None) else 404)

    @rule(name=names, front=fronts, chance=rarely)
    def delete_repository(self, name: str, front: int, chance: int) -> None:
        if chance:
            return
        house = self.fronts[front].house
        found = self.run(house.repositories.find(HOME, RepositoryName(name)))
        self.run(house.repositories.delete(found, force=True))
        assert self.ask(1 - front, "GET", f"/v2/{name}/tags/list").codes == ["NAME_UNKNOWN"]
        self.run(house.repository(name))
        self.repositories[name] = Repository()
        self.uploads = {location: upload for location, upload in self.uploads.items() if upload[0] != name}

    # -- time

    @rule(seconds=st.sampled_from([1.0, SETTLE + 1, GRACE / 4, GRACE / 2, GRACE + 1]))
    def wait(self, seconds: float) -> None:
        self.clock.pass_(seconds)

    @rule(front=fronts, orphans=st.booleans())
    def collect(self, front: int, orphans: bool) -> None:
        collector = self.fronts[front].house.collector
        self.run(collector.collect())
        if orphans:
            self.run(collector.collect_orphans())
        for repository in self.repositories.values():
            repository.blobs = {
                digest: kept
                for digest, kept in repository.blobs.items()
                if repository.names(digest) or kept >= self.clock() - GRACE
            }

    @rule(front=fronts, chance=rarely)
    def wait_until_uploads_expire(self, front: int, chance: int) -> None:
        if chance:
            return
        self.clock.pass_(2 * EXPIRY)
        self.collect(front, orphans=True)
        for location in self.uploads:
            assert self.ask(front, "GET", location).codes == ["BLOB_UPLOAD_UNKNOWN"]
        self.uploads.clear()

    @rule(front=fronts, chance=rarely)
    def restart(self, front: int, chance: int) -> None:
        if chance:
            return
        self.run(self.fronts[front].close())
        self.fronts[front] = self.open()

    # -- what always holds

    @invariant()
    def rows_hang_together(self) -> None:
        if not self.fronts:
            return
        for front in self.fronts:
            assert front.failures == []
            for wrong in (
                "SELECT f.digest FROM manifest_references f WHERE f.kind = 'blob' AND NOT EXISTS "
                "(SELECT 1 FROM repository_blobs r WHERE r.repository_id = f.repository_id AND r.digest = f.digest)",
                "SELECT digest FROM repository_blobs r WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = r.digest)",
                "SELECT digest FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM repository_blobs r WHERE r.digest = b.digest)",
                "SELECT b.key FROM blobs b JOIN condemned c ON c.key = b.key",
                "SELECT u.staged FROM uploads u JOIN condemned c ON c.key = u.staged",
                "SELECT u.staged FROM uploads u JOIN blobs b ON b.key = u.staged",
                "SELECT name FROM tags t WHERE NOT EXISTS "
                "(SELECT 1 FROM manifests m WHERE m.repository_id = t.repository_id AND m.digest = t.digest)",
            ):
                assert self.run(front.house.database.fetch(wrong)) == [], wrong

    @rule()
    def everything_is_as_the_model_says(self) -> None:
        for name, repository in self.repositories.items():
            for digest, data in self.contents.items():
                answer = self.ask(0, "GET", f"/v2/{name}/blobs/{digest}")
                assert answer.status == (200 if digest in repository.blobs else 404), digest
                assert answer.status == 404 or answer.body == data
            for digest, manifest in repository.manifests.items():
                assert manifest.blobs <= repository.blobs.keys()
                answer = self.ask(1, "GET", f"/v2/{name}/manifests/{digest}")
                assert (answer.status, answer.body, answer.digest) == (200, manifest.content, digest)
                if manifest.subject is not None:
                    listed = json.loads(self.ask(0, "GET", f"/v2/{name}/referrers/{manifest.subject}").body)[
                        "manifests"
                    ]
                    about = [one for one, its in repository.manifests.items() if its.subject == manifest.subject]
                    assert [one["digest"] for one in listed] == sorted(about)
            listed = json.loads(self.ask(1, "GET", f"/v2/{name}/tags/list").body)["tags"]
            assert listed == sorted(repository.tags)
            for tag, digest in repository.tags.items():
                assert self.ask(0, "GET", f"/v2/{name}/manifests/{tag}").digest == digest
        self.run(self.stored_bytes_have_their_digests())
        for location, (_, data) in self.uploads.items():
            answer = self.ask(0, "GET", location)
            assert (answer.status, answer.headers["Range"]) == (204, f"0-{max(0, len(data) - 1)}")

    async def stored_bytes_have_their_digests(self) -> None:
        house = self.fronts[1].house
        for digest, key, size in await house.database.fetch("SELECT digest, key, size FROM blobs"):
            data = await read_key(house.blobs, key)
            assert (len(data), digest_of(data, digest.partition(":")[0])) == (size, digest)

    def nothing_is_left_when_everything_is_deleted(self) -> None:
        for name in NAMES:
            self.delete_repository(name, 0, 0)
        self.wait_until_uploads_expire(0, 0)
        self.clock.pass_(SETTLE + 1)
        self.collect(1, orphans=True)
        house = self.fronts[0].house

        async def left() -> list[str]:
            return [one.key async for batch in house.blobs.inventory(before=self.clock() + 1) for one in batch]

        assert self.run(left()) == []
        self.clock.pass_(2 * EXPIRY)  # orphans are remembered for as long as an upload may take
        self.collect(0, orphans=False)
        for table in ("blobs", "repository_blobs", "condemned", "uploads", "manifests", "manifest_references", "tags"):
            assert self.run(house.database.fetch(f"SELECT * FROM {table}")) == [], table


def quick_parent() -> Path:
    with quick_directory() as directory:
        return directory.parent


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(
    max_examples=1500 if LONG else 40,
    stateful_step_count=80 if LONG else 50,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)
