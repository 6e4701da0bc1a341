"""Upgrades of one machine, and back."""

from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.releases import CONTRACTING, EXPANDING, NEWEST, being_release, make_release
from tests.wire.client import Client

NAME = "operation/upgrade"


def test_a_machine_goes_to_the_next_release_and_back_and_keeps_what_was_pushed_to_both(tmp_path: Path):
    older = LiveServer(tmp_path / "one", settings={"registry.create_on_push": "true"})
    newer = LiveServer(tmp_path / "one", settings=older.settings, source=make_release(tmp_path / "newer", *EXPANDING))
    pushed = {}
    for server, tag in ((older, "first"), (newer, "second"), (older, "third")):
        with server, Client(server) as client:
            pushed[tag] = client.push_image(NAME, tag, layers=[tag.encode()])
            for earlier, digest in pushed.items():
                assert client("GET", f"/v2/{NAME}/manifests/{earlier}").headers["Docker-Content-Digest"] == digest
    assert older.log.read_text().count('"level": "warning"') == 1


@pytest.fixture
def machine(tmp_path: Path) -> LiveServer:
    """One that this release has made, and that does not run."""
    machine = LiveServer(tmp_path / "one")
    machine.data.mkdir(parents=True)
    assert machine.longshore("account", "list").returncode == 0
    return machine


def test_what_a_migration_would_do_is_shown_and_not_done(machine: LiveServer):
    names = [f"{number:04}_newer.sql" for number in range(NEWEST + 1, NEWEST + len(EXPANDING) + 2)]
    with being_release(*EXPANDING, CONTRACTING):
        for _ in range(2):
            checked = machine.longshore("migrate", "--check")
            assert (checked.returncode, checked.stdout.splitlines()) == (
                1,
                [
                    f"schema {NEWEST}; servers that know schema 9 or later work on it",
                    *(f"{name:<32} expand: servers go on beside it" for name in names[:-2]),
                    f"{names[-2]:<32} expand: servers go on beside it while it builds indices",
                    f"{names[-1]:<32} contract: servers have to know schema {NEWEST + 1}",
                    f"afterwards: schema {NEWEST + len(names)}; servers that know schema {NEWEST + 1} or later work on it",
                    f"servers of the present schema {NEWEST} stop working at {names[-1]}: stop them first "
                    "(then --offline), or go to a release between",
                ],
            )
        done = machine.longshore("migrate")
        assert (done.returncode, done.stdout.splitlines()) == (
            0,
            [*(f"applying {name}" for name in names), *(f"applied {name}" for name in names)],
        )
        assert machine.longshore("migrate").stdout == "the database is up to date\n"
        assert machine.longshore("migrate", "--check").returncode == 0
    refused = machine.longshore("migrate", "--check")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "install the newer release" in refused.stderr


def test_a_check_makes_no_database(tmp_path: Path):
    machine = LiveServer(tmp_path / "none")
    checked = machine.longshore("migrate", "--check")
    assert (checked.returncode, checked.stdout.splitlines()[0]) == (1, "the database holds nothing yet")
    assert not machine.directory.exists()


def test_commands_leave_the_schema_to_the_server_and_to_migrate(machine: LiveServer, tmp_path: Path):
    with being_release(*EXPANDING):
        for command in (["audit"], ["account", "list"], ["fsck"], ["read-only", "on"]):
            refused = machine.longshore(*command)
            assert refused.returncode != 0
            assert f"lacks the migration {NEWEST + 1:04}_newer.sql: run `longshore migrate` first" in refused.stderr
        assert machine.longshore("backup", str(tmp_path / "backups")).returncode == 0
        assert machine.longshore("migrate", "--check").returncode == 1


def test_a_release_makes_no_backup_and_no_move_of_what_it_does_not_know_all_of(machine: LiveServer, tmp_path: Path):
    with being_release(*EXPANDING):
        assert machine.longshore("migrate").returncode == 0
    target = tmp_path / "target.toml"
    target.write_text(f'[server]\ndata = "{tmp_path / "two"}"\n[secrets]\nkey_file = "{machine.key_file}"\n')
    for command in (["backup", str(tmp_path / "backups")], ["move", "--to-config", str(target)]):
        refused = machine.longshore(*command)
        assert refused.returncode == 1
        assert "the newer release can copy all of it" in refused.stderr
    assert machine.longshore("account", "list").returncode == 0
    with being_release(*EXPANDING):
        assert machine.longshore("backup", str(tmp_path / "backups")).returncode == 0
