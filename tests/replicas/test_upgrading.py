"""An upgrade, replica by replica: two releases work on one database, and either may be started again at any time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.releases import CONTRACTING, EXPANDING, NEWEST, being_release, make_release
from tests.replicas.conftest import Fleet
from tests.replicas.test_failover import Pusher
from tests.replicas.test_starting import refusal
from tests.wire.client import Client, eventually

NAME = "replicas/failover"
LAST = NEWEST + len(EXPANDING) + 1
"""The schema of the release after the next one."""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The release after this one."""
    return make_release(tmp_path / "newer", *EXPANDING)


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    """The release after that, which takes away what the one before uses no more."""
    return make_release(tmp_path / "newest", *EXPANDING, CONTRACTING)


def of_release(fleet: Fleet, source: Path) -> LiveServer:
    """A replica of another release, not started."""
    return LiveServer(fleet.directory / source.name, settings=fleet.shared, source=source)


def pulls(client: Client, tags: dict[str, str]) -> bool:
    """Whether all of them are there, with their layers."""
    for tag, digest in tags.items():
        answer = client("GET", f"/v2/{NAME}/manifests/{tag}")
        assert answer.headers["Docker-Content-Digest"] == digest
        for layer in answer.json["layers"]:
            assert client("GET", f"/v2/{NAME}/blobs/{layer['digest']}").status == 200
    return bool(tags)


def test_replicas_of_this_release_serve_and_restart_beside_the_next(
    store: dict[str, str], tmp_path: Path, newer: Path
) -> None:
    with Fleet(tmp_path / "fleet", store, count=2) as fleet:
        pushers = [Pusher(server, who) for who, server in enumerate(fleet.servers)]
        for pusher in pushers:
            pusher.start()
        try:
            eventually(lambda: all(len(pusher.acknowledged) >= 3 for pusher in pushers))
            with of_release(fleet, newer) as upgraded, Client(upgraded) as client:
                assert upgraded.log.read_text().count('"event": "migrated"') == len(EXPANDING)
                before = [len(pusher.acknowledged) for pusher in pushers]
                eventually(
                    lambda: all(
                        len(pusher.acknowledged) >= count + 3 for pusher, count in zip(pushers, before, strict=True)
                    )
                )
                stop(pushers)
                assert [pusher.refused for pusher in pushers] == [[], []]
                assert all(pulls(client, pusher.acknowledged) for pusher in pushers)
                pushed = {"newer": client.push_image(NAME, "newer", layers=[b"of the next release"])}
                assert all(pulls(old, pushed) for old in fleet)

                old = fleet.servers[0]
                old.kill()
                old.start()
                assert '"level": "warning"' in old.log.read_text()
                with Client(old) as again:
                    assert pulls(again, pushed)
                    assert pulls(again, pushers[1].acknowledged)
                    pushed = {"older": again.push_image(NAME, "older", layers=[b"of this release"])}
                assert pulls(client, pushed)
        finally:
            stop(pushers)


def stop(pushers: list[Pusher]) -> None:
    for pusher in pushers:
        pusher.stopping.set()
        pusher.join()


def test_a_release_that_would_stop_the_one_before_is_not_let_onto_its_database_by_a_start(
    new_store: Callable[[], dict[str, str]], tmp_path: Path, newest: Path
) -> None:
    with Fleet(tmp_path / "fleet", new_store(), count=1) as fleet:
        skipping = of_release(fleet, newest)
        assert refusal(skipping) == (
            f"longshore: servers of the database's present schema {NEWEST} would not bear the migration {LAST:04}_newer.sql, "
            f"for which they have to know {NEWEST + 1}: when none of them runs any more, run `longshore migrate --offline`"
        )
        with being_release(*EXPANDING, CONTRACTING):
            assert skipping.longshore("migrate").returncode == 1
        assert fleet[0].push_image(NAME, "still")  # nothing was touched
        with being_release(*EXPANDING):
            assert skipping.longshore("migrate").returncode == 0
        with skipping:
            pass
        assert fleet.another().longshore("account", "list").returncode == 1
        assert refusal(fleet.another()) == (
            f"longshore: the database is at schema {LAST}, beside which servers work that know {NEWEST + 1} or later; "
            f"this release knows up to {NEWEST}: install the newer release"
        )
