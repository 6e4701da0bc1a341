"""From files and the environment to frozen settings.

`default.toml` lists and explains every key; the dataclasses here give each its type. What neither names is an error
that says where it stands and what was expected.
"""

import ipaddress
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

PREFIX = "LONGSHORE_"
_SECRETS = {
    ("root", "secret_access_key"),
    ("database", "url"),
    ("storage", "s3_secret_access_key"),
    ("backup", "s3_secret_access_key"),
    ("telemetry", "headers"),
}


class SettingsInvalid(ValueError):
    """A setting is unknown or cannot be used; the message names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    workers: int
    data: str
    public_url: str
    trusted_proxies: tuple[str, ...]
    log_format: str
    access_log: bool
    drain: float
    idle_timeout: float
    connections: int
    read_only: bool


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    region: str


@dataclass(frozen=True, slots=True, repr=False)
class Root:
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True)
class Secrets:
    key_file: str


@dataclass(frozen=True, slots=True)
class Auth:
    challenge: str
    anonymous_pull: bool
    plain_issuers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    driver: str
    reserve: int
    accel_redirect: str
    s3_bucket: str
    s3_prefix: str
    s3_region: str
    s3_endpoint_url: str
    s3_access_key_id: str
    s3_secret_access_key: str
    s3_sse: str
    s3_kms_key_id: str
    s3_timeout: float
    s3_redirect: bool
    s3_redirect_except: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backup:
    s3_region: str
    s3_endpoint_url: str
    s3_access_key_id: str
    s3_secret_access_key: str
    s3_sse: str
    s3_kms_key_id: str


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Registry:
    allow_sparse: bool
    create_on_push: bool
    delete_referenced: bool
    upload_expiry: float


@dataclass(frozen=True, slots=True)
class Limits:
    address_rate: float
    address_burst: float
    address_at_once: int
    address_uploads: int
    principal_rate: float
    principal_burst: float
    principal_at_once: int
    principal_uploads: int
    queue: int
    longest_wait: float


@dataclass(frozen=True, slots=True)
class Audit:
    enabled: bool
    keep_days: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Gc:
    interval: float
    grace: float
    settle: float
    orphan_interval: float
    share: float
    referrers_after: float


@dataclass(frozen=True, slots=True, repr=False)
class Telemetry:
    endpoint: str
    headers: str
    sample_ratio: float
    service_name: str


@dataclass(frozen=True, slots=True)
class Tls:
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, checked."""

    server: Server
    account: Account
    root: Root
    secrets: Secrets
    auth: Auth
    storage: Storage
    database: DatabaseSettings
    backup: Backup
    registry: Registry
    limits: Limits
    audit: Audit
    gc: Gc
    tls: Tls
    telemetry: Telemetry

    @property
    def data(self) -> Path:
        return Path(self.server.data).absolute()


_SECTIONS: Mapping[str, Any] = get_type_hints(Settings)


def load_settings(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[tuple[str, str], Any] | None = None,
) -> Settings:
    """Defaults, then `file`, then `environment`, then `overrides` ((section, key) -> value, from the command line).

    Raises SettingsInvalid.
    """
    values = tomllib.loads(resources.files("config").joinpath("default.toml").read_text())
    if file is not None:
        _merge(values, _read(file), str(file))
    _merge_environment(values, os.environ if environment is None else environment)
    for (section, key), value in (overrides or {}).items():
        values[section][key] = value
    made = {
        name: kind(
            **{
                entry.name: _typed(values[name][entry.name], get_type_hints(kind)[entry.name], f"{name}.{entry.name}")
                for entry in fields(kind)
            }
        )
        for name, kind in _SECTIONS.items()
    }
    settings = Settings(**made)
    _check(settings)
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise SettingsInvalid(f"the settings file `{file}` cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"the settings file `{file}` is not TOML: {error}") from error


def _merge(values: dict[str, Any], found: Mapping[str, Any], where: str) -> None:
    for section, entries in found.items():
        if section not in _SECTIONS:
            raise SettingsInvalid(f"`{section}` in {where} is not a section: expected one of {', '.join(_SECTIONS)}")
        if not isinstance(entries, Mapping):
            raise SettingsInvalid(f"`{section}` in {where} has to be a section: [{section}]")
        for key, value in entries.items():
            _set(values, section, key, value, f"`{section}.{key}` in {where}")


def _merge_environment(values: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if section not in _SECTIONS:
            raise SettingsInvalid(f"{name} names no section: expected one of {', '.join(_SECTIONS)}")
        _set(values, section, key, value, name)


def _set(values: dict[str, Any], section: str, key: str, value: Any, where: str) -> None:
    known = [entry.name for entry in fields(_SECTIONS[section])]
    if (
        key.removesuffix("_file") in known
        and (section, key.removesuffix("_file")) in _SECRETS
        and key.endswith("_file")
    ):
        try:
            value = Path(str(value)).read_text().strip()
        except OSError as error:
            raise SettingsInvalid(f"{where}: the file `{value}` cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SettingsInvalid(f"{where}: the file `{value}` cannot be read: it is not UTF-8") from error
        key = key.removesuffix("_file")
    if key not in known:
        raise SettingsInvalid(f"{where} is not a setting: [{section}] has {', '.join(known)}")
    values[section][key] = value


def _typed(value: Any, kind: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list) or not all(isinstance(part, get_args(kind)[0]) for part in value):
            raise SettingsInvalid(f"{where} has to be a list of texts")
        return tuple(value)
    if kind is bool:
        if isinstance(value, str) and value.lower() in {"true", "false", "1", "0", "yes", "no"}:
            return value.lower() in {"true", "1", "yes"}
        if not isinstance(value, bool):
            raise SettingsInvalid(f"{where} has to be true or false, not `{value}`")
        return value
    if kind in {int, float}:
        if isinstance(value, bool):
            raise SettingsInvalid(f"{where} has to be a number, not `{value}`")
        try:
            number = kind(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise SettingsInvalid(f"{where} has to be a number, not `{value}`") from error
        if not math.isfinite(number):
            raise SettingsInvalid(f"{where} has to be a number, not `{value}`")
        if isinstance(value, float) and number != value:
            raise SettingsInvalid(f"{where} has to be a number without a fraction, not `{value}`")
        return number
    if not isinstance(value, str):
        raise SettingsInvalid(f"{where} has to be a text, in quotes")
    return value


_CHOICES = {
    "server.log_format": ("auto", "text", "json"),
    "auth.challenge": ("basic", "bearer"),
    "storage.driver": ("filesystem", "s3"),
    "storage.s3_sse": ("", "AES256", "aws:kms"),
    "backup.s3_sse": ("", "AES256", "aws:kms"),
}
_DATABASES = ("sqlite:///", "postgresql://", "postgres://")
_POSITIVE = (
    "server.drain",
    "server.idle_timeout",
    "registry.upload_expiry",
    "gc.interval",
    "gc.orphan_interval",
    "database.timeout",
    "storage.s3_timeout",
)


def _get(settings: Settings, path: str) -> Any:
    section, key = path.split(".")
    return getattr(getattr(settings, section), key)


def _check(settings: Settings) -> None:
    for path, choices in _CHOICES.items():
        if _get(settings, path) not in choices:
            raise SettingsInvalid(f"{path} has to be {' or '.join(choices)}, not `{_get(settings, path)}`")
    for path in _POSITIVE:
        if not _get(settings, path) > 0:
            raise SettingsInvalid(f"{path} has to be more than 0 seconds")
    for path in ("gc.grace", "gc.settle", "gc.referrers_after", "storage.reserve"):
        if _get(settings, path) < 0:
            raise SettingsInvalid(f"{path} cannot be less than 0")
    for key, value in ((entry.name, getattr(settings.limits, entry.name)) for entry in fields(settings.limits)):
        if value < 0:
            raise SettingsInvalid(f"limits.{key} cannot be less than 0")
        if key.endswith("_burst") and 0 < value < 1:
            raise SettingsInvalid(f"limits.{key} has to be 1 or more, or 0: a second's worth")
    if not 0 < settings.gc.share <= 1:
        raise SettingsInvalid("gc.share has to be more than 0, up to 1")
    if not settings.audit.keep_days > 0:
        raise SettingsInvalid("audit.keep_days has to be more than 0 days")
    if settings.audit.max_bytes < 1024 * 1024:
        raise SettingsInvalid("audit.max_bytes has to be 1048576 (1 MiB) or more")
    if not 0 <= settings.server.port <= 65535:
        raise SettingsInvalid(f"server.port has to be a port, 0 to 65535, not `{settings.server.port}`")
    if settings.server.connections < 1:
        raise SettingsInvalid("server.connections has to be 1 or more")
    if not 1 <= settings.server.workers <= 256:
        raise SettingsInvalid("server.workers has to be a number from 1 to 256")
    if not (settings.account.id.isascii() and settings.account.id.isdigit() and len(settings.account.id) == 12):
        raise SettingsInvalid(f"account.id has to be 12 digits, not `{settings.account.id}`")
    if not settings.account.region:
        raise SettingsInvalid("account.region is missing: a region such as us-east-1")
    if bool(settings.root.access_key_id) != bool(settings.root.secret_access_key):
        raise SettingsInvalid("root.access_key_id and root.secret_access_key go together: give both or none")
    if bool(settings.tls.certificate) != bool(settings.tls.key):
        raise SettingsInvalid("tls.certificate and tls.key go together: give both or none")
    if settings.auth.anonymous_pull and settings.auth.challenge != "bearer":
        raise SettingsInvalid('auth.anonymous_pull needs auth.challenge = "bearer"')
    url = settings.server.public_url
    if url and not url.startswith(("http://", "https://")):
        raise SettingsInvalid(f"server.public_url has to begin with http:// or https://, not `{url}`")
    if settings.database.url and not settings.database.url.startswith(_DATABASES):
        raise SettingsInvalid(
            "database.url has to be sqlite:///path/to/file or postgresql://user:password@host/database"
        )
    _check_telemetry(settings.telemetry)
    _check_s3(settings.storage)
    _check_accel(settings)
    for path in ("server.trusted_proxies", "storage.s3_redirect_except"):
        for network in _get(settings, path):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise SettingsInvalid(f"{path}: `{network}` is not a network such as 10.0.0.0/8") from error


def _check_telemetry(telemetry: Telemetry) -> None:
    if telemetry.endpoint and not telemetry.endpoint.startswith(("http://", "https://")):
        raise SettingsInvalid(f"telemetry.endpoint has to begin with http:// or https://, not `{telemetry.endpoint}`")
    if not 0 <= telemetry.sample_ratio <= 1:
        raise SettingsInvalid("telemetry.sample_ratio has to be a number from 0 to 1")
    for part in filter(None, map(str.strip, telemetry.headers.split(","))):
        if "=" not in part.removeprefix("="):
            raise SettingsInvalid("telemetry.headers has to be name=value, several of them with commas between")


def _check_accel(settings: Settings) -> None:
    location = settings.storage.accel_redirect
    if not location:
        return
    if not (location.startswith("/") and location.endswith("/") and location.isascii() and location.isprintable()):
        raise SettingsInvalid(f"storage.accel_redirect has to be a location such as /_files/, not `{location}`")
    if settings.storage.driver != "filesystem":
        raise SettingsInvalid('storage.accel_redirect needs storage.driver = "filesystem"')
    if not settings.server.trusted_proxies:
        raise SettingsInvalid("storage.accel_redirect needs server.trusted_proxies: the address of nginx")


def _check_s3(storage: Storage) -> None:
    if storage.driver == "s3" and not storage.s3_bucket:
        raise SettingsInvalid('storage.s3_bucket is missing: storage.driver = "s3" needs a bucket')
    if bool(storage.s3_access_key_id) != bool(storage.s3_secret_access_key):
        raise SettingsInvalid(
            "storage.s3_access_key_id and storage.s3_secret_access_key go together: give both or none"
        )
    if storage.s3_endpoint_url and not storage.s3_endpoint_url.startswith(("http://", "https://")):
        raise SettingsInvalid(
            f"storage.s3_endpoint_url has to begin with http:// or https://, not `{storage.s3_endpoint_url}`"
        )
    if storage.s3_kms_key_id and storage.s3_sse != "aws:kms":
        raise SettingsInvalid('storage.s3_kms_key_id needs storage.s3_sse = "aws:kms"')
