"""Backups of running servers, restored elsewhere: identical to everybody, under load, and after kills."""

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import stock as stocktaking
from tests.live import LiveServer
from tests.operation.registries import Load, begin, push_image, run, seen, server_of, stock, take_keys_along, user_key
from tests.postgres import PostgresServer
from tests.s3 import S3Server
from tests.wire.client import Client, basic

if TYPE_CHECKING:
    import subprocess


def wait_for(happened: Callable[[], bool]) -> None:
    """What another process does."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill(process: "subprocess.Popen[str]", *, when: Callable[[], bool]) -> None:
    """kill -9 as soon as something is seen of its work; it may have been quicker."""
    wait_for(lambda: when() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def check(server: LiveServer) -> None:
    """Nothing that it keeps lacks anything, by the tests' own account and by the command's."""
    assert stocktaking.check(server).faults == []
    assert "all is well" in run(server, "fsck")


def test_a_registry_is_the_same_to_everybody_after_restoring_it_elsewhere(
    tmp_path: Path, postgres: PostgresServer, s3: S3Server
):
    """From SQLite and a disk to PostgreSQL and S3, and back."""
    place = str(tmp_path / "backups")
    with server_of(tmp_path / "one") as one:
        stock(one)
        user = user_key(one)
        said = run(one, "backup", place)
        assert ": 5 blobs (2.1 MB; 5 of them" in said
        assert f"left out, keep elsewhere: {one.data}/server.key, {one.data}/credentials" in said
        assert ": 5 blobs (2.1 MB; 0 of them" in run(one, "backup", place)
        assert "is whole" in run(one, "backup", place, "--verify")
        assert len(run(one, "backup", place, "--list").splitlines()) == 2
        before = seen(one)
    two = server_of(tmp_path / "two", postgres=postgres, s3=s3)
    assert "is not there, or not the server key of the backup" in run(two, "restore", place, expected=1)
    take_keys_along(one, two)
    run(two, "restore", place)
    bucket = s3.new_bucket()
    own = {f"backup.s3_{key}": getattr(bucket, key) for key in ("endpoint_url", "access_key_id", "secret_access_key")}
    two.settings |= own
    with two:
        assert seen(two) == before
        with Client(two, authorization=basic(*user)) as client:
            assert client("GET", "/v2/team/app-0/tags/list").status == 200
        run(two, "backup", f"s3://{bucket.bucket}/some/prefix", "--keep", "2")
    three = server_of(tmp_path / "three")
    three.settings |= own
    take_keys_along(two, three)
    run(three, "restore", f"s3://{bucket.bucket}/some/prefix")
    assert "not empty" in run(three, "restore", f"s3://{bucket.bucket}/some/prefix", expected=1)
    with three:
        assert seen(three) == before
        with Client(three) as client:
            push_image(client, "team/new", "v1", b"goes on")
    check(three)


def test_what_was_acknowledged_before_a_backup_is_in_it_and_what_is_pushed_meanwhile_harms_nothing(tmp_path: Path):
    place = str(tmp_path / "backups")
    with server_of(tmp_path / "one", workers=2) as one:
        before = Load(one, "load/before")
        before.start()
        wait_for(lambda: len(before.acknowledged) >= 5)
        before.end()
        meanwhile = [Load(one, f"load/meanwhile-{number}") for number in range(2)]
        for load in meanwhile:
            load.start()
        for _ in range(3):
            run(one, "backup", place, "--keep", "2")
        for load in meanwhile:
            load.end()
            assert load.refused == ""
    two = server_of(tmp_path / "two")
    take_keys_along(one, two)
    run(two, "restore", place)
    with two:
        before.check(two)
        check(two)


def test_a_backup_and_a_restore_that_are_killed_are_done_again_and_whole(tmp_path: Path):
    place = tmp_path / "backups"
    with server_of(tmp_path / "one") as one:
        load = Load(one, "load/images")
        load.start()
        wait_for(lambda: len(load.acknowledged) >= 30)
        load.end()
        for number in range(2):
            kill(
                begin(one, "backup", str(place)), when=partial(lambda most: _count(place / "blobs") > most, 10 * number)
            )
            _wait_for_lease(one)
        run(one, "backup", str(place), "--keep", "1")
        assert "is whole" in run(one, "backup", str(place), "--verify")
    two = server_of(tmp_path / "two")
    take_keys_along(one, two)
    for number in range(2):
        kill(begin(two, "restore", str(place)), when=partial(lambda most: held(two) > most, 10 * number))
    if held(two) < 30:  # it was killed in the middle
        assert "longshore restore" in run(two, "serve", "--port", "1", expected=1)
    code = begin(two, "restore", str(place))
    printed, _ = code.communicate(timeout=120)
    assert code.returncode == 0 or "not empty" in printed
    with two:
        load.check(two)
        check(two)


def _count(directory: Path) -> int:
    return sum(1 for path in directory.rglob("*") if path.is_file()) if directory.exists() else 0


def held(server: LiveServer) -> int:
    if not (server.data / "longshore.db").exists():
        return 0
    with server.rows() as rows:
        if not rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'blobs'").fetchall():
            return 0
        return int(rows.execute("SELECT COUNT(*) FROM blobs").fetchone()[0])


def _wait_for_lease(server: LiveServer) -> None:
    """The killed one's turn ends within seconds."""
    wait_for(lambda: _lease_end(server) < time.time())


def _lease_end(server: LiveServer) -> float:
    with server.rows() as rows:
        found = rows.execute("SELECT expires_at FROM leases WHERE name = 'backup'").fetchone()
    return float(found[0]) if found else 0.0


@pytest.mark.parametrize("lost", [True, False])
def test_without_the_server_key_everything_but_secrets_comes_back(tmp_path: Path, lost: bool):
    place = str(tmp_path / "backups")
    with server_of(tmp_path / "one") as one:
        stock(one)
        user = user_key(one)
        run(one, "backup", place)
        before = seen(one)
    two = server_of(tmp_path / "two")
    if not lost:
        take_keys_along(one, two)
    run(two, "restore", place, *(["--new-server-key"] if lost else []))
    with two:
        with Client(two, authorization=basic(*user)) as client:
            assert client("GET", "/v2/team/app-0/tags/list").status == (401 if lost else 200)
        after = seen(two)
        assert after.keys() == before.keys()
        assert after["repositories"] == before["repositories"]


def test_a_damaged_backup_is_said_to_be_one(tmp_path: Path):
    place = tmp_path / "backups"
    with server_of(tmp_path / "one") as one:
        with Client(one) as client:
            push_image(client, "team/app", "v1", b"a layer")
        run(one, "backup", str(place))
    (path, *_) = [path for path in (place / "blobs").rglob("*") if path.is_file()]
    path.write_bytes(b"something else")
    assert path.name in run(one, "backup", str(place), "--verify", expected=1)
    two = server_of(tmp_path / "two")
    take_keys_along(one, two)
    assert "--keep-going" in run(two, "restore", str(place), expected=1)
    assert path.name in run(two, "restore", str(place), "--keep-going", expected=1)
    with two:
        assert "blob-lost" in run(two, "fsck", expected=1)
        with Client(two) as client:
            push_image(client, "team/app", "v1", b"a layer")
        assert "all is well" in run(two, "fsck")
