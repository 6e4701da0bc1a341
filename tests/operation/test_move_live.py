"""Moving a running server: reads never stop, and nothing that was acknowledged is lost."""

from functools import partial
from pathlib import Path

import pytest

from tests.operation.registries import (
    Load,
    begin,
    push_image,
    run,
    seen,
    server_of,
    stock,
    take_keys_along,
    write_config,
)
from tests.operation.test_backup_live import check, held, kill, wait_for
from tests.postgres import PostgresServer
from tests.s3 import S3Server
from tests.wire.client import Client


@pytest.mark.parametrize("away", [True, False], ids=["away", "back"])
def test_a_registry_moves_under_load_and_nothing_acknowledged_is_lost(
    tmp_path: Path, postgres: PostgresServer, s3: S3Server, away: bool
):
    """From SQLite and a disk to PostgreSQL and S3, or the other way."""
    plain, shared = server_of(tmp_path / "plain", workers=2), server_of(tmp_path / "shared", postgres=postgres, s3=s3)
    old, new = (plain, shared) if away else (shared, plain)
    with old:
        stock(old)
        config = write_config(new)
        assert "the server key has to move along" in run(old, "move", "--to-config", str(config), expected=1)
        take_keys_along(old, new)
        load = Load(old, "load/images")
        load.start()
        run(old, "move", "--to-config", str(config))
        wait_for(lambda: len(load.acknowledged) >= 5)
        assert "copy of the registry" in run(new, "serve", "--port", "1", expected=1)
        said = run(old, "move", "--to-config", str(config), "--finish")
        assert f"longshore serve --config {config}" in said
        load.join(30)
        assert "read-only at the moment: it is moving" in load.refused or "it has moved" in load.refused
        load.check(old)
        before = seen(old)
        with new:
            assert seen(new) == before
            load.check(new)
            with Client(new) as client:
                push_image(client, "team/new", "v1", b"goes on")
            with Client(old) as client:
                answer = client("POST", "/v2/team/new/blobs/uploads/")
            assert answer.said == (503, "UNAVAILABLE")
            check(new)


def test_a_move_that_is_killed_again_and_again_ends_well(tmp_path: Path):
    with server_of(tmp_path / "old") as old:
        load = Load(old, "load/images")
        load.start()
        wait_for(lambda: len(load.acknowledged) >= 20)
        new = server_of(tmp_path / "new")
        take_keys_along(old, new)
        config = str(write_config(new))
        for number in range(3):
            kill(
                begin(old, "move", "--to-config", config, "--finish"),
                when=partial(lambda most: held(new) > most, 12 * number),
            )
        done = begin(old, "move", "--to-config", config, "--finish")
        printed, _ = done.communicate(timeout=120)
        assert done.returncode == 0 or "not empty" in printed
        load.end()
    with new:
        load.check(new)
        check(new)


def test_who_moved_in_vain_takes_the_old_store_back(tmp_path: Path):
    with server_of(tmp_path / "old") as old:
        new = server_of(tmp_path / "new")
        take_keys_along(old, new)
        config = str(write_config(new))
        run(old, "move", "--to-config", config, "--finish")
        assert "(moved)" in run(old, "read-only", "off", expected=1)
        run(old, "read-only", "off", "--after-move")

        def takes_changes() -> bool:
            with Client(old) as client:
                return client("POST", "/v2/team/app/blobs/uploads/").status == 202

        wait_for(takes_changes)
        assert "not empty" in run(old, "move", "--to-config", config, expected=1)
        same = server_of(tmp_path / "same")
        same.data = old.data
        assert "the same database" in run(old, "move", "--to-config", str(write_config(same)), expected=1)
