"""Pushing, asking, mounting, deleting and collecting, in every order of their steps: an image never lacks a blob.

What each scene checks after every step is in `World.check`, and at the end of every order that nothing is left once
everything is deleted and collected. The second half breaks the rules by which this holds, one at a time, and sees that a
scene finds it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from base.digest import digest_of
from registry import rows
from registry.errors import (
    BlobUnknown,
    LayersMissing,
    OffsetWrong,
    RepositoryNotFound,
    UploadUnknown,
)
from registry.garbage import Garbage
from registry.gc import Collector
from registry.pull import Pull
from registry.rows import Taken, blobs, garbage, manifests
from store.database import Unit
from store.leases import Lease, LeaseLost
from store.postgres import PostgresDatabase
from tests.interleavings.scheduler import Actor, Explored, Wrong, explore
from tests.interleavings.world import EXPIRY, LAYER, World, open_small_world, open_world
from tests.postgres import PostgresServer
from tests.rooms import GRACE, SETTLE, WHO, announced, quick_directory
from tests.unit.registry.test_push_and_pull import described

OTHER = b"another layer"
DIGEST = digest_of(LAYER)
ORPHAN_AGE = 3600.0
AHEAD = 0.04 * GRACE
"""By how much clocks may differ here: what is left of three quarters of the grace when 0.7 of it are used."""
GONE = (RepositoryNotFound, UploadUnknown, BlobUnknown, LayersMissing)


@dataclass
class Play:
    """A scene: how it begins, who acts, and as what they may end beside well."""

    begin: Callable[[World], Awaitable[None]]
    actors: Callable[[World], Mapping[str, Actor]]
    may_fail: Mapping[str, tuple[type[Exception], ...]] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)
    large: bool = False
    """It takes more than a second or two."""
    verdict: Callable[[World, Mapping[str, object]], Awaitable[None]] = field(
        default=lambda _world, _outcomes: _no_more()
    )


async def _no_more() -> None:
    return


# -- beginnings


async def out_of_grace(world: World) -> None:
    """A blob that no image names, its grace over."""
    await world.upload(world.one, LAYER)
    world.clock.pass_(GRACE + 1)


async def late_in_its_grace(world: World) -> None:
    await world.upload(world.one, LAYER)
    world.clock.pass_(GRACE * 0.9)


async def in_the_middle_of_its_grace(world: World) -> None:
    await world.upload(world.one, LAYER)
    world.clock.pass_(GRACE * 0.45)


async def just_before_a_renewal(world: World) -> None:
    """So little of the grace is over that whoever asks does not renew it."""
    await world.upload(world.one, LAYER)
    world.clock.pass_(GRACE * 0.2499)


async def two_out_of_grace(world: World) -> None:
    await world.upload(world.one, LAYER)
    await world.upload(world.one, OTHER)
    world.clock.pass_(GRACE + 1)


async def in_both(world: World) -> None:
    """In one repository long ago, in the other just now."""
    await world.upload(world.one, LAYER)
    world.clock.pass_(GRACE + 1)
    await world.upload(world.two, LAYER)


async def pushed(world: World) -> None:
    await world.push(world.one, LAYER)
    world.clock.pass_(GRACE + 1)


async def condemned(world: World) -> None:
    """Two tombstones that have stood long enough."""
    await two_out_of_grace(world)
    await world.collect()
    world.clock.pass_(SETTLE + 1)


async def untouched(world: World) -> None:
    """An upload that nobody touched for too long."""
    process = world.process()
    upload = await process.uploads.begin(world.one.id, WHO)
    world.upload_ = await process.uploads.receive(upload, announced(LAYER))
    world.clock.pass_(EXPIRY + 1)


async def subject_deleted(world: World) -> None:
    """What an image was about that is named by a signature, and was deleted long ago."""
    subject = await world.push(world.one, OTHER)
    await world.push(world.one, LAYER, subject=described(subject, 1))
    await world.delete_image(world.one, subject)
    world.clock.pass_(EXPIRY)


async def nothing(world: World) -> None:
    return


# -- what actors do


async def mount_and_put(world: World) -> None:
    """As docker does it with a layer of another repository; where it is gone, the bytes are brought."""
    if not await world.mount(world.one, world.two, DIGEST):
        await world.upload(world.two, LAYER)
    await world.put(world.two, DIGEST)


async def upload_and_put(world: World) -> None:
    await world.put(world.one, await world.upload(world.one, LAYER))


async def upload_at_once_and_put(world: World) -> None:
    await world.put(world.one, await world.upload_at_once(world.one, LAYER))


async def upload_in_pieces_and_put(world: World) -> None:
    await world.put(world.one, await world.upload_in_pieces(world.one, LAYER))


async def ask_wait_and_put(world: World) -> None:
    """Whoever hears that a blob is there has three quarters of the grace before them."""
    process = world.process()
    try:
        await process.pull.confirm_blob(world.one.registry, world.one.name, DIGEST)
    except BlobUnknown:
        return
    await world.wait(0.7 * GRACE)
    await world.put(world.one, DIGEST, process=process)


async def search_and_collect(world: World) -> None:
    await world.search()
    await world.collect()


async def finish(world: World) -> None:
    await world.process().uploads.finish(world.upload_, DIGEST)


async def read(world: World) -> None:
    assert await world.read(world.one, DIGEST) in {None, LAYER}


async def push_subject_again(world: World) -> bool:
    """Whether what names it as its subject is there, too."""
    subject = await world.push(world.one, OTHER)
    return bool(await world.peek("SELECT 1 FROM manifests WHERE subject = ?", subject))


# -- verdicts


async def what_was_there_with_its_subject_stays(world: World, outcomes: Mapping[str, object]) -> None:
    if outcomes["push"]:
        assert await world.under.fetch("SELECT 1 FROM manifests WHERE subject IS NOT NULL"), "it was collected"


async def who_lost_the_lease_changes_nothing(world: World, outcomes: Mapping[str, object]) -> None:
    """But for the deletions that it had begun: no row, and no more bytes than those of a step."""
    told = world.turns.told
    taken = next(number for number, one in enumerate(told) if one.actor == "second" and "INTO leases" in one.step)
    late = [one for one in told[taken:] if one.actor == "first"]
    changed = [one for one in late if one.step.startswith("write") and one.error != LeaseLost.__name__]
    assert not changed or "INTO leases" in changed[0].step, f"{changed[0]}"
    assert sum(one.step == "delete" for one in late) <= 2


async def all_is_known(world: World, _outcomes: Mapping[str, object]) -> None:
    await world.all_is_known()


def leased(world: World, name: str, *, seize: bool) -> Actor:
    async def act() -> None:
        lease = Lease(world.database, "collector", name, clock=world.now)
        if await lease.take(seize=seize):
            await world.collect(lease)

    return act


def actors(**acts: Callable[[World], Awaitable[Any]]) -> Callable[[World], Mapping[str, Actor]]:
    return lambda world: {name: (lambda act=act: act(world)) for name, act in acts.items()}  # type: ignore[misc]


collect = World.collect
search = World.search

PLAYS: dict[str, Play] = {
    "an old blob is pushed again": Play(
        out_of_grace, actors(push=lambda world: world.push(world.one, LAYER), collect=collect)
    ),
    "an old blob is uploaded again": Play(out_of_grace, actors(push=upload_and_put, collect=collect)),
    "an old blob comes in one request": Play(out_of_grace, actors(push=upload_at_once_and_put, collect=collect)),
    "an old blob comes in pieces": Play(
        out_of_grace, actors(push=upload_in_pieces_and_put, collect=collect), verdict=all_is_known
    ),
    "a blob comes in pieces, and its upload expires": Play(
        nothing,
        actors(
            push=lambda world: world.upload_in_pieces(world.one, LAYER),
            wait=lambda world: world.wait(EXPIRY + 1),
            collect=collect,
        ),
        {"push": (OffsetWrong, UploadUnknown)},
        verdict=all_is_known,
    ),
    "an image of two old blobs is put": Play(
        two_out_of_grace,
        actors(
            push=lambda world: world.put(world.one, DIGEST, digest_of(OTHER)),
            collect=collect,
        ),
        {"push": (LayersMissing,)},
    ),
    "an old blob is pushed to two repositories": Play(
        out_of_grace,
        actors(
            push=lambda world: world.push(world.one, LAYER),
            also=lambda world: world.push(world.two, LAYER),
            collect=collect,
        ),
    ),
    "two collectors meet a push": Play(
        out_of_grace,
        actors(push=lambda world: world.push(world.one, LAYER), collect=collect, also=collect),
    ),
    "an old blob is mounted": Play(out_of_grace, actors(mount=mount_and_put, collect=collect)),
    "a blob that another repository keeps grows old": Play(
        in_both, actors(push=lambda world: world.put(world.two, DIGEST), collect=collect)
    ),
    "whoever heard that a blob is there takes their time": Play(
        late_in_its_grace, actors(push=ask_wait_and_put, collect=collect, wait=lambda world: world.wait(GRACE * 0.04))
    ),
    "whoever heard that a blob is there takes their time, just before a renewal": Play(
        just_before_a_renewal,
        actors(push=ask_wait_and_put, collect=collect, wait=lambda world: world.wait(GRACE * 0.04)),
    ),
    "whoever heard that a blob is there takes their time, in the middle of its grace": Play(
        in_the_middle_of_its_grace, actors(push=ask_wait_and_put, collect=collect)
    ),
    "the collector's clock is ahead": Play(
        just_before_a_renewal, actors(push=ask_wait_and_put, collect=lambda world: world.collect(ahead=AHEAD))
    ),
    "the collector's clock is far ahead": Play(
        late_in_its_grace,
        actors(push=ask_wait_and_put, collect=lambda world: world.collect(ahead=3 * GRACE), also=collect),
        {"push": (LayersMissing,)},
    ),
    "an image is deleted while its layer is left out of a push": Play(
        pushed,
        actors(
            push=ask_wait_and_put,
            delete=lambda world: world.delete_image(world.one, world.image),
            collect=collect,
        ),
    ),
    "a repository is deleted while it is pushed to": Play(
        pushed,
        actors(
            push=lambda world: world.push(world.one, LAYER, OTHER),
            delete=lambda world: world.delete_repository(world.one),
            collect=collect,
        ),
        {"push": GONE},
    ),
    "a repository is deleted while a layer is mounted out of it": Play(
        pushed,
        actors(mount=mount_and_put, delete=lambda world: world.delete_repository(world.one), collect=collect),
    ),
    "a blob is deleted while it is mounted": Play(
        out_of_grace,
        actors(mount=mount_and_put, delete=lambda world: world.delete_blob(world.one, DIGEST), collect=collect),
    ),
    "a blob is deleted while it is read": Play(
        out_of_grace, actors(read=read, delete=lambda world: world.delete_blob(world.one, DIGEST), collect=collect)
    ),
    "a blob is collected while it is read": Play(out_of_grace, actors(read=read, collect=collect, also=collect)),
    "an upload expires while it is finished": Play(
        untouched, actors(finish=finish, collect=collect), {"finish": (UploadUnknown,)}
    ),
    "bytes wait so long for their row that they are taken for an orphan's": Play(
        nothing,
        actors(push=upload_at_once_and_put, wait=lambda world: world.wait(2 * ORPHAN_AGE), search=search),
        {"push": (OffsetWrong, UploadUnknown)},
    ),
    "bytes wait for their row, and a day goes by": Play(
        nothing,
        actors(
            push=upload_at_once_and_put,
            wait=lambda world: world.wait(2 * ORPHAN_AGE, 2 * EXPIRY),
            collect=search_and_collect,
        ),
        {"push": (OffsetWrong, UploadUnknown, LayersMissing)},
        large=True,
    ),
    "what an image was about is pushed again": Play(
        subject_deleted,
        actors(push=push_subject_again, collect=collect),
        how={"referrers_after": EXPIRY / 2},
        verdict=what_was_there_with_its_subject_stays,
    ),
    "a lease is taken over in the middle": Play(
        condemned,
        lambda world: {"first": leased(world, "first", seize=False), "second": leased(world, "second", seize=True)},
        {"first": (LeaseLost,)},
        verdict=who_lost_the_lease_changes_nothing,
    ),
    "a collector is killed": Play(
        two_out_of_grace,
        lambda world: {
            "collect": world.collect,
            "kill": lambda: world.turns.kill("collect"),
            "push": lambda: world.push(world.one, LAYER),
        },
    ),
    "a collector is killed at its tombstones": Play(
        condemned,
        lambda world: {"collect": world.collect, "kill": lambda: world.turns.kill("collect")},
        verdict=all_is_known,
    ),
    "a search is killed": Play(
        nothing,
        lambda world: {
            "push": lambda: upload_at_once_and_put(world),
            "kill": lambda: world.turns.kill("push"),
            "wait": lambda: world.wait(2 * ORPHAN_AGE),
            "search": world.search,
        },
        {"push": (OffsetWrong, UploadUnknown)},
    ),
    "a push is killed": Play(
        out_of_grace,
        lambda world: {
            "push": lambda: upload_and_put(world),
            "kill": lambda: world.turns.kill("push"),
            "collect": world.collect,
        },
    ),
}


async def play(world: World, name: str) -> Explored:
    chosen = PLAYS[name]
    await chosen.begin(world)
    found = await world.under.fetch("SELECT digest FROM manifests")
    world.image = found[0][0] if found else ""
    await world.remember()
    return await explore(world.scene(chosen.actors(world), chosen.may_fail, chosen.verdict))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if one.large else ()) for name, one in PLAYS.items()]
)
async def test_whoever_comes_first(name: str) -> None:
    with quick_directory() as place:
        async with open_small_world(place, **PLAYS[name].how) as world:
            explored = await play(world, name)
    assert len(explored.states) > 10


@pytest.mark.long
@pytest.mark.parametrize("name", PLAYS)
async def test_whoever_comes_first_on_postgresql(name: str, postgres: PostgresServer) -> None:
    database = PostgresDatabase(postgres.new_database())
    try:
        async with open_world(database, **PLAYS[name].how) as world:
            await play(world, name)
    finally:
        await database.close()


# -- the rules, broken one at a time; each returns how the world differs

How: TypeAlias = Mapping[str, Any]


def bytes_go_at_once(patch: pytest.MonkeyPatch) -> How:
    """Nobody is given the time to read what they saw."""
    return {"settle": 0.0}


def bytes_go_before_rows(patch: pytest.MonkeyPatch) -> How:
    class Hasty(Collector):
        def _phases(self, now: float, done: Any, held: Any) -> Any:
            async def delete() -> bool:
                for (key,) in await self._database.fetch(
                    "SELECT b.key FROM repository_blobs r JOIN blobs b ON b.digest = r.digest WHERE r.kept_at < ?",
                    (now - GRACE,),
                ):
                    await self._blobs.delete(key)
                return False

            return (delete, *super()._phases(now, done, held))

    return {"collector": Hasty}


def blobs_go_by_an_earlier_look(patch: pytest.MonkeyPatch) -> How:
    """What was found to be unreferenced is unlinked later, whatever was put meanwhile."""

    class Trusting(Collector):
        def _phases(self, now: float, done: Any, held: Any) -> Any:
            async def unlink() -> bool:
                found = await self._database.fetch(
                    "SELECT repository_id, digest FROM repository_blobs WHERE kept_at < ?", (now - GRACE,)
                )

                def unit() -> Unit[None]:
                    for repository_id, digest in found:
                        yield (
                            "DELETE FROM repository_blobs WHERE repository_id = ? AND digest = ?",
                            (repository_id, digest),
                        )
                    yield from blobs.condemn_unlinked([digest for _, digest in found], now, Garbage.UNREFERENCED)

                await self._database.write(unit)
                return False

            return (unlink, *super()._phases(now, done, held))

    return {"collector": Trusting}


def bytes_go_that_others_link(patch: pytest.MonkeyPatch) -> How:
    def condemn_all(digests: Any, now: float, kind: Garbage) -> Unit[None]:
        for digest in digests:
            found = yield "DELETE FROM blobs WHERE digest = ? RETURNING key, size", (digest,)
            yield from blobs.condemn([(key, size) for key, size in found], now, kind)

    patch.setattr(garbage, "condemn_unlinked", condemn_all)
    return {}


def answers_do_not_renew(patch: pytest.MonkeyPatch) -> How:
    async def renew(self: Pull, repository_id: int, blob: rows.Blob) -> bool:
        return True

    patch.setattr(Pull, "renew", renew)
    return {}


def clocks_differ_by_more(patch: pytest.MonkeyPatch) -> How:
    patch.setattr("tests.interleavings.test_collecting.AHEAD", 0.1 * GRACE)
    return {}


def mounts_do_not_renew(patch: pytest.MonkeyPatch) -> How:
    def link(source_id: int, target_id: int, digest: str, now: float) -> Unit[bool]:
        found = yield (
            "INSERT INTO repository_blobs (repository_id, digest, kept_at) SELECT ?, r.digest, r.kept_at "
            "FROM repository_blobs r WHERE r.repository_id = ? AND r.digest = ? "
            "ON CONFLICT (repository_id, digest) DO NOTHING RETURNING 1",
            (target_id, source_id, digest),
        )
        return bool(found)

    patch.setattr(rows, "link_blob", link)
    return {}


def uploads_do_not_renew(patch: pytest.MonkeyPatch) -> How:
    insert = blobs.insert_blob

    def insert_as_it_was(repository_id: int, digest: Any, key: str, size: int, now: float) -> Unit[str]:
        had = yield (
            "SELECT kept_at FROM repository_blobs WHERE repository_id = ? AND digest = ?",
            (repository_id, digest),
        )
        held = yield from insert(repository_id, digest, key, size, now)
        for (kept_at,) in had:
            yield (
                "UPDATE repository_blobs SET kept_at = ? WHERE repository_id = ? AND digest = ?",
                (kept_at, repository_id, digest),
            )
        return held

    patch.setattr("registry.rows.uploads.insert_blob", insert_as_it_was)
    return {}


def deletions_give_no_grace(patch: pytest.MonkeyPatch) -> How:
    delete = manifests.delete_manifest

    def delete_at_once(repository_id: int, digest: str, now: float, *, keep_referenced: bool) -> Unit[Any]:
        tags = yield from delete(repository_id, digest, now, keep_referenced=keep_referenced)
        yield "UPDATE repository_blobs SET kept_at = 0 WHERE kept_at = ?", (now,)
        return tags

    patch.setattr(rows, "delete_manifest", delete_at_once)
    return {}


def images_are_put_by_an_earlier_look(patch: pytest.MonkeyPatch) -> How:
    put = rows.put_manifest

    async def put_later(
        self: Any, repository: rows.Repository, content: bytes, media_type: str | None, **more: Any
    ) -> Any:
        from dataclasses import replace

        from registry.push import Put, _read

        found, manifest = _read(content, media_type, None)
        wanted = [one.digest for one in manifest.references]
        there = await rows.find_blobs(self._database, repository.id, wanted)
        if len(there) < len(set(wanted)):
            raise LayersMissing(repository.registry, repository.name, [])
        push = rows.Push(repository, found, manifest, content, (), True, self._clock())
        done = await self._database.write(lambda: put(replace(push, allow_missing=True)))
        return Put(found, manifest, done)

    patch.setattr("registry.push.Push.put", put_later)
    return {}


def uploads_finish_beside_a_tombstone(patch: pytest.MonkeyPatch) -> How:
    def finish_anyway(upload: rows.Upload, digest: Any, key: str, now: float) -> Unit[str | None]:
        ended = yield "DELETE FROM uploads WHERE id = ? AND turn = ? RETURNING 1", (upload.id, upload.turn)
        if not ended:
            return None
        return (yield from blobs.insert_blob(upload.repository_id, digest, key, upload.received, now))

    patch.setattr(rows, "finish_upload", finish_anyway)
    return {}


def orphans_go_by_an_earlier_look(patch: pytest.MonkeyPatch) -> How:
    def condemn_seen(stored: Any, now: float) -> Unit[list[rows.Tombstone]]:
        yield from blobs.condemn([(one.key, one.size) for one in stored], now, Garbage.ORPHAN)
        return [rows.Tombstone(one.key, one.size, now, Garbage.ORPHAN) for one in stored]

    patch.setattr(rows, "condemn_unknown", condemn_seen)
    return {}


def orphans_are_forgotten_at_once(patch: pytest.MonkeyPatch) -> How:
    def forget(gone: Any, again_at: float) -> Unit[dict[Garbage, Any]]:
        for one in gone:
            yield "DELETE FROM condemned WHERE key = ?", (one.key,)
        return {}

    patch.setattr(rows, "bury", forget)
    return {}


def tombstones_go_before_bytes(patch: pytest.MonkeyPatch) -> How:
    class Forgetful(Collector):
        async def _delete(self, doomed: Any, done: Any, held: Any) -> None:
            await self._database.write(lambda: rows.bury(doomed, 0.0))
            await self._blobs.delete_many([one.key for one in doomed])

    return {"collector": Forgetful}


def referrers_go_by_an_earlier_look(patch: pytest.MonkeyPatch) -> How:
    def collect_blindly(before: float, now: float, limit: int) -> Unit[Taken]:
        found = yield (
            "SELECT m.repository_id, m.digest FROM deleted_subjects d JOIN manifests m "
            "ON m.repository_id = d.repository_id AND m.subject = d.digest WHERE d.deleted_at < ?",
            (before,),
        )
        for repository_id, digest in found:
            yield from manifests.delete_manifest(repository_id, digest, now, keep_referenced=False)
        yield "DELETE FROM deleted_subjects WHERE deleted_at < ?", (before,)
        return Taken(len(found), more=False)

    patch.setattr(rows, "collect_referrers", collect_blindly)
    return {}


def copies_are_forgotten(patch: pytest.MonkeyPatch) -> How:
    advance = rows.advance_upload
    patch.setattr(rows, "advance_upload", lambda upload, at, now, **_: advance(upload, at, now))
    return {}


def leases_are_not_looked_at(patch: pytest.MonkeyPatch) -> How:
    patch.setattr(Lease, "guard", lambda self, unit: unit)
    return {}


BROKEN: Mapping[Callable[[pytest.MonkeyPatch], How], str] = {
    bytes_go_at_once: "a blob is deleted while it is read",
    bytes_go_before_rows: "an old blob is pushed again",
    blobs_go_by_an_earlier_look: "an image of two old blobs is put",
    bytes_go_that_others_link: "a blob that another repository keeps grows old",
    answers_do_not_renew: "whoever heard that a blob is there takes their time",
    clocks_differ_by_more: "the collector's clock is ahead",
    mounts_do_not_renew: "an old blob is mounted",
    uploads_do_not_renew: "an old blob is uploaded again",
    deletions_give_no_grace: "an image is deleted while its layer is left out of a push",
    images_are_put_by_an_earlier_look: "an image of two old blobs is put",
    uploads_finish_beside_a_tombstone: "bytes wait so long for their row that they are taken for an orphan's",
    orphans_go_by_an_earlier_look: "bytes wait so long for their row that they are taken for an orphan's",
    orphans_are_forgotten_at_once: "bytes wait so long for their row that they are taken for an orphan's",
    tombstones_go_before_bytes: "a collector is killed at its tombstones",
    referrers_go_by_an_earlier_look: "what an image was about is pushed again",
    copies_are_forgotten: "an old blob comes in pieces",
    leases_are_not_looked_at: "a lease is taken over in the middle",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_a_broken_rule_is_found(
    broken: Callable[[pytest.MonkeyPatch], How], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = BROKEN[broken]
    how = {**PLAYS[name].how, **broken(monkeypatch)}
    with quick_directory() as place:
        async with open_small_world(place, **how) as world:
            with pytest.raises(Wrong):
                await play(world, name)
