"""Tests of registry policies: principals made on the spot, on a Longshore server that pytest starts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_longshore.errors import LongshoreError

if TYPE_CHECKING:
    from pytest_longshore.accounts import Account, Repository, Role
    from pytest_longshore.principals import DockerLogin, Principal, Refusal
    from pytest_longshore.probes import PULL, PUSH
    from pytest_longshore.server import Server

__all__ = [
    "PULL",
    "PUSH",
    "Account",
    "DockerLogin",
    "LongshoreError",
    "Principal",
    "Refusal",
    "Repository",
    "Role",
    "Server",
]
_MODULES = {
    "PULL": "probes",
    "PUSH": "probes",
    "Account": "accounts",
    "DockerLogin": "principals",
    "Principal": "principals",
    "Refusal": "principals",
    "Repository": "accounts",
    "Role": "accounts",
    "Server": "server",
}


def __getattr__(name: str) -> Any:
    """What needs boto3 comes when it is asked for: pytest imports this package in every run."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
