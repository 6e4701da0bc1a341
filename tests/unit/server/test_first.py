import configparser
import os
import stat
import threading
from pathlib import Path

import pytest

from auth.credentials import root_of
from config.settings import Settings, SettingsInvalid, load_settings
from server.first import FirstThings, prepare, welcome

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def settings(directory: Path, **environment: str) -> Settings:
    return load_settings(environment={"LONGSHORE_SERVER__DATA": str(directory / "data"), **environment})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_root_key_and_a_server_key_that_later_starts_find(tmp_path: Path):
    first = prepare(settings(tmp_path))
    again = prepare(settings(tmp_path))
    assert (again.root, again.server_keys) == (first.root, first.server_keys)
    assert first.root.principal == root_of("123456789012", first.root.id)
    assert first.root.id.startswith("AKIA")
    assert len(first.root.id) == 20
    assert len(first.root.secret) == 40
    assert prepare(settings(tmp_path / "elsewhere")).root.id != first.root.id


def test_only_their_owner_reads_them(tmp_path: Path):
    before = os.umask(0)
    try:
        prepare(settings(tmp_path))
    finally:
        os.umask(before)
    for name in ("credentials", "server.key"):
        assert mode(tmp_path / "data" / name) == 0o600
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["credentials", "server.key"]


def test_the_root_key_is_kept_as_aws_tools_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = prepare(settings(tmp_path))
    assert first.credentials is not None
    parser = configparser.RawConfigParser()
    parser.read(first.credentials)
    assert dict(parser["default"]) == {"aws_access_key_id": first.root.id, "aws_secret_access_key": first.root.secret}
    from botocore.session import Session

    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(first.credentials))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    found = Session(profile="default").get_credentials()
    assert (found.access_key, found.secret_key) == (first.root.id, first.root.secret)


def test_first_starts_at_once_agree(tmp_path: Path):
    found: list[FirstThings] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait(10)
        found.append(prepare(settings(tmp_path)))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len({(one.root.id, one.root.secret, *one.server_keys) for one in found}) == 1
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["credentials", "server.key"]


def test_a_root_key_in_the_settings_is_kept_nowhere(tmp_path: Path):
    given = settings(
        tmp_path, LONGSHORE_ROOT__ACCESS_KEY_ID="AKIAGIVEN", LONGSHORE_ROOT__SECRET_ACCESS_KEY=SECRET,
        LONGSHORE_ACCOUNT__ID="210987654321",
    )  # fmt: skip
    first = prepare(given)
    assert (first.root.id, first.root.secret, first.credentials) == ("AKIAGIVEN", SECRET, None)
    assert first.root.principal == root_of("210987654321", first.root.id)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["server.key"]


def test_a_server_key_of_ones_own_is_read_line_by_line(tmp_path: Path):
    file = tmp_path / "keys"
    file.write_text(f"{'n' * 32}\n\n  {'o' * 40}  \n")
    first = prepare(settings(tmp_path, LONGSHORE_SECRETS__KEY_FILE=str(file)))
    assert first.server_keys == ["n" * 32, "o" * 40]
    assert not (tmp_path / "data" / "server.key").exists()


@pytest.mark.parametrize("content", ["", "\n\n", "short\n", "x" * 31, f"{'x' * 32}\nshort"])
def test_a_server_key_that_is_too_short_is_an_error_that_names_the_setting(tmp_path: Path, content: str):
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(SettingsInvalid, match=r"secrets.key_file: .*32 characters"):
        prepare(settings(tmp_path, LONGSHORE_SECRETS__KEY_FILE=str(file)))
    with pytest.raises(SettingsInvalid, match=r"secrets.key_file: .*cannot be read"):
        prepare(settings(tmp_path, LONGSHORE_SECRETS__KEY_FILE=str(tmp_path / "missing")))


@pytest.mark.parametrize(
    "content", ["", "[default]\n", "nonsense", "[other]\naws_access_key_id = A\naws_secret_access_key = B\n"]
)
def test_credentials_that_cannot_be_used_are_an_error_and_stay_as_they_are(tmp_path: Path, content: str):
    prepare(settings(tmp_path))
    path = tmp_path / "data" / "credentials"
    path.write_text(content)
    with pytest.raises(SettingsInvalid, match="cannot be used: expected"):
        prepare(settings(tmp_path))
    assert path.read_text() == content


def test_a_data_directory_that_cannot_be_made_is_an_error_that_names_the_setting(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsInvalid, match=r"server.data: .* cannot be made"):
        prepare(load_settings(environment={"LONGSHORE_SERVER__DATA": str(tmp_path / "file" / "data")}))


def test_what_is_printed_at_the_start_has_the_lines_to_copy_and_no_secret(tmp_path: Path):
    plain = settings(tmp_path)
    first = prepare(plain)
    text = welcome(plain, first, "127.0.0.1:5000", secure=False)
    assert first.root.secret not in text
    assert first.server_keys[0] not in text
    for part in (
        "http://127.0.0.1:5000",
        "docker login --username AWS --password-stdin 127.0.0.1:5000",
        "aws ecr create-repository",
        "docker push 127.0.0.1:5000/hello",
        str(first.credentials),
        first.root.id,
    ):
        assert part in text
    assert "https://127.0.0.1:5000" in welcome(plain, first, "127.0.0.1:5000", secure=True)
    public = settings(tmp_path, LONGSHORE_SERVER__PUBLIC_URL="https://{account}.r.example.com/")
    text = welcome(public, first, "127.0.0.1:5000", secure=False)
    assert "https://123456789012.r.example.com\n" in text
    assert "docker push 123456789012.r.example.com/hello" in text


def test_first_things_never_show_a_secret(tmp_path: Path):
    first = prepare(settings(tmp_path))
    for secret in (first.root.secret, first.server_keys[0]):
        assert secret not in f"{first!r} {first}"
