import re
import tomllib
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pytest

from config.settings import Settings, SettingsInvalid, load_settings

DEFAULT = resources.files("config").joinpath("default.toml").read_text()
SECTIONS = get_type_hints(Settings)
NUMBERS = [
    (section, entry.name)
    for section, kind in SECTIONS.items()
    for entry in fields(kind)
    if get_type_hints(kind)[entry.name] in {int, float}
]


def load(*lines: str, environment: dict[str, str] | None = None, directory: Path, **overrides: Any) -> Settings:
    file = directory / "settings.toml"
    file.write_text("\n".join(lines))
    named = {("server", key): value for key, value in overrides.items()}
    return load_settings(file, environment=environment or {}, overrides=named)


def setting(settings: Settings, section: str, key: str) -> Any:
    return getattr(getattr(settings, section), key)


# -- the list of them


def test_the_defaults_load_and_every_setting_is_in_them_with_its_type():
    settings = load_settings(environment={})
    listed = tomllib.loads(DEFAULT)
    assert set(listed) == set(SECTIONS)
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        assert set(listed[section]) == set(hints), section
        for key, value in listed[section].items():
            expected = list if get_origin(hints[key]) is tuple else hints[key]
            assert type(value) is expected, f"{section}.{key} is written as {type(value).__name__}"
            assert setting(settings, section, key) == (tuple(value) if expected is list else value)


def test_every_setting_is_explained_by_a_comment():
    """Above it, or above the settings that it stands with."""
    explained = False
    for number, line in enumerate(DEFAULT.splitlines(), start=1):
        if line.startswith("#"):
            explained = len(line.strip("# ")) > 5 or line.strip() == "# (secret)"
        elif not line.strip() or line.startswith("["):
            explained = False
        elif " = " in line:
            assert explained, f"line {number}: {line}"
    assert DEFAULT.startswith("#")


def test_lines_are_not_too_long_to_read():
    assert max(map(len, DEFAULT.splitlines())) <= 132


def test_every_secret_is_marked_and_can_be_read_from_a_file(tmp_path: Path):
    marked = re.findall(r"# \(secret\)[^\n]*\n(\w+) =", DEFAULT)
    assert marked == ["secret_access_key", "s3_secret_access_key", "url", "s3_secret_access_key", "headers"]
    secret = tmp_path / "secret"
    secret.write_text("a secret of forty characters or so\n")
    environment = {
        "LONGSHORE_ROOT__ACCESS_KEY_ID": "AKIAEXAMPLE", "LONGSHORE_ROOT__SECRET_ACCESS_KEY_FILE": str(secret),
    }  # fmt: skip
    assert load_settings(environment=environment).root.secret_access_key == "a secret of forty characters or so"
    found = load("[root]", 'access_key_id = "AKIAEXAMPLE"', f'secret_access_key_file = "{secret}"', directory=tmp_path)
    assert found.root.secret_access_key == "a secret of forty characters or so"


def test_only_secrets_have_the_form_of_a_file():
    with pytest.raises(SettingsInvalid, match="LONGSHORE_SERVER__HOST_FILE is not a setting"):
        load_settings(environment={"LONGSHORE_SERVER__HOST_FILE": "/etc/hostname"})
    assert load_settings(environment={"LONGSHORE_SECRETS__KEY_FILE": "/keys"}).secrets.key_file == "/keys"


# -- where they come from


def test_the_command_line_wins_over_the_environment_and_that_over_the_file_and_that_over_the_defaults(tmp_path: Path):
    lines = ("[server]", "port = 1001", 'host = "file"', "workers = 2")
    environment = {"LONGSHORE_SERVER__PORT": "1002", "LONGSHORE_SERVER__HOST": "environment"}
    settings = load(*lines, environment=environment, directory=tmp_path, port=1003)
    assert (settings.server.port, settings.server.host, settings.server.workers) == (1003, "environment", 2)
    assert settings.account.region == "us-east-1"


def test_every_setting_can_be_given_by_the_environment():
    listed = tomllib.loads(DEFAULT)
    for section, key, value in [(section, *entry) for section, entries in listed.items() for entry in entries.items()]:
        text = (
            "true"
            if value is True
            else "false"
            if value is False
            else ",".join(value)
            if isinstance(value, list)
            else str(value)
        )
        settings = load_settings(environment={f"LONGSHORE_{section}__{key}".upper(): text})
        assert setting(settings, section, key) == (tuple(value) if isinstance(value, list) else value)


def test_other_variables_are_none_of_ours():
    environment = {"PATH": "/bin", "LONGSHORE_LONG": "1", "LONGSHORE_REQUIRE": "docker", "longshore_server__port": "x"}
    assert load_settings(environment=environment) == load_settings(environment={})


def test_booleans_and_lists_may_be_written_as_people_write_them():
    for text, value in [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("No", False)]:
        assert load_settings(environment={"LONGSHORE_SERVER__ACCESS_LOG": text}).server.access_log is value
    for text, networks in [
        ("", ()),
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        (" 10.0.0.0/8 ,fd00::/8,", ("10.0.0.0/8", "fd00::/8")),
    ]:
        assert load_settings(environment={"LONGSHORE_SERVER__TRUSTED_PROXIES": text}).server.trusted_proxies == networks


# -- what is refused, by name


@pytest.mark.parametrize(("lines", "said"), [
    (["[servers]"], "`servers` in .* is not a section: expected one of server, account"),
    (["[server]", "prt = 1"], r"`server.prt` in .* is not a setting: \[server\] has host, port"),
    (["port = 1"], "`port` in .* is not a section"),
    (["server = 5"], r"`server` in .* has to be a section: \[server\]"),
    (["[server]", "port = 'x'"], "server.port has to be a number, not `x`"),
    (["[server]", "port = true"], "server.port has to be a number"),
    (["[server]", "port = [1]"], "server.port has to be a number"),
    (["[server]", "port = 5000.7"], "server.port has to be a number without a fraction"),
    (["[server]", "host = 5"], "server.host has to be a text, in quotes"),
    (["[server]", "access_log = 'perhaps'"], "server.access_log has to be true or false, not `perhaps`"),
    (["[server]", "access_log = 1"], "server.access_log has to be true or false"),
    (["[server]", "trusted_proxies = [5]"], "server.trusted_proxies has to be a list of texts"),
    (["[server]", "trusted_proxies = 5"], "server.trusted_proxies has to be a list of texts"),
    (["[server]", "trusted_proxies = ['proxy']"], "server.trusted_proxies: `proxy` is not a network"),
    (["[server]", "trusted_proxies = ['10.0.0.1/8']"], "server.trusted_proxies: `10.0.0.1/8` is not a network"),
    (["[server]", "port = -1"], "server.port"), (["[server]", "port = 65536"], "server.port"),
    (["[server]", "workers = 0"], "server.workers"), (["[server]", "workers = 257"], "server.workers"),
    (["[server]", "log_format = 'xml'"], "server.log_format has to be auto or text or json, not `xml`"),
    (["[server]", "public_url = 'registry.example.com'"], "server.public_url has to begin with http:// or https://"),
    (["[account]", "id = '123'"], "account.id has to be 12 digits"),
    (["[account]", "id = '12345678901a'"], "account.id has to be 12 digits"),
    (["[account]", "region = ''"], "account.region is missing"),
    (["[root]", "access_key_id = 'AKIA'"], "root.access_key_id and root.secret_access_key go together"),
    (["[root]", "secret_access_key = 'x'"], "root.access_key_id and root.secret_access_key go together"),
    (["[root]", "secret_access_key_file = '/nonexistent/x'"], "secret_access_key_file.* cannot be read"),
    (["[tls]", "certificate = 'x'"], "tls.certificate and tls.key go together"),
    (["[tls]", "key = 'x'"], "tls.certificate and tls.key go together"),
    (["[auth]", "challenge = 'digest'"], "auth.challenge has to be basic or bearer"),
    (["[auth]", "anonymous_pull = true"], "auth.anonymous_pull needs auth.challenge"),
    (["[storage]", 'accel_redirect = "_files"'], "storage.accel_redirect has to be a location such as /_files/"),
    (["[storage]", 'accel_redirect = "/_files/"'], "storage.accel_redirect needs server.trusted_proxies"),
    (
        ["[storage]", 'driver = "s3"', 's3_bucket = "b"', 'accel_redirect = "/_files/"'],
        'storage.accel_redirect needs storage.driver = "filesystem"',
    ),
    (["[storage]", "driver = 'tape'"], "storage.driver has to be filesystem"),
    (["[storage]", "reserve = -1"], "storage.reserve cannot be less than 0"),
    (["[database]", "url = 'mysql://x'"], "database.url has to be sqlite:///"),
    (["[gc]", "interval = 0"], "gc.interval has to be more than 0 seconds"),
    (["[gc]", "grace = -1"], "gc.grace cannot be less than 0"),
    (["[limits]", "address_rate = -1"], "limits.address_rate cannot be less than 0"),
    (["[limits]", "principal_burst = 0.5"], "limits.principal_burst has to be 1 or more"),
    (["[registry]", "upload_expiry = -5"], "registry.upload_expiry has to be more than 0 seconds"),
    (["[server"], "is not TOML"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, lines: list[str], said: str):
    with pytest.raises(SettingsInvalid, match=said) as refused:
        load(*lines, directory=tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("section", "key"), NUMBERS)
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "", "x", "1,5"])
def test_numbers_are_numbers(section: str, key: str, text: str):
    with pytest.raises(SettingsInvalid, match=rf"{section}\.{key}"):
        load_settings(environment={f"LONGSHORE_{section}__{key}".upper(): text})


@pytest.mark.parametrize(("name", "said"), [
    ("LONGSHORE_SERVER__PRT", "LONGSHORE_SERVER__PRT is not a setting"),
    ("LONGSHORE_SERVR__PORT", "LONGSHORE_SERVR__PORT names no section"),
    ("LONGSHORE___PORT", "names no section"),
    ("LONGSHORE_SERVER__", "is not a setting"),
    ("LONGSHORE_SERVER__PORT__X", "is not a setting"),
])  # fmt: skip
def test_a_misspelt_variable_is_an_error_by_its_name(name: str, said: str):
    with pytest.raises(SettingsInvalid, match=said):
        load_settings(environment={name: "1"})


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path):
    with pytest.raises(SettingsInvalid, match="cannot be read: No such file"):
        load_settings(tmp_path / "missing.toml", environment={})
    with pytest.raises(SettingsInvalid, match="cannot be read: Is a directory"):
        load_settings(tmp_path, environment={})
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsInvalid, match="is not TOML"):
        load_settings(binary, environment={})
    with pytest.raises(SettingsInvalid, match="SECRET_ACCESS_KEY_FILE"):
        load_settings(environment={"LONGSHORE_ROOT__SECRET_ACCESS_KEY_FILE": str(binary)})


def test_settings_never_show_the_secret(tmp_path: Path):
    environment = {"LONGSHORE_ROOT__ACCESS_KEY_ID": "AKIA", "LONGSHORE_ROOT__SECRET_ACCESS_KEY": "hunter2hunter2"}
    settings = load_settings(environment=environment)
    assert "hunter2" not in f"{settings!r} {settings}"
    with pytest.raises(SettingsInvalid, match="secret_access_key has to be a text") as refused:
        load("[root]", "access_key_id = 'A'", "secret_access_key = 1234567890", directory=tmp_path)
    assert "1234567890" not in str(refused.value)


def test_the_data_directory_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}).data == tmp_path / "var"
    assert load_settings(environment={"LONGSHORE_SERVER__DATA": "/srv/x"}).data == Path("/srv/x")
