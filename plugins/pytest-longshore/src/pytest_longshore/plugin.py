"""The plugin: options, fixtures, and the server's log beside a test that fails.

pytest reads this module in every run, also where no test asks for a fixture: boto3 and what needs it come with them.
"""

import os
from typing import TYPE_CHECKING

import pytest

from pytest_longshore.errors import LongshoreError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_longshore.accounts import Account
    from pytest_longshore.server import Server

_SERVER: "pytest.StashKey[Server]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "longshore_command",
        "the command that starts Longshore, with arguments where it takes some (default: longshore, on PATH; the "
        "environment variable LONGSHORE_COMMAND wins)",
        default="",
    )
    parser.addini("longshore_account", "the home account of the server (default: 123456789012)", default="123456789012")
    parser.addini("longshore_region", "its region (default: us-east-1)", default="us-east-1")
    parser.addini(
        "longshore_settings",
        "further settings of the server, a line each: registry.create_on_push = true",
        type="linelist",
        default=[],
    )


@pytest.fixture(scope="session")
def longshore_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Server]":
    """The server that all tests of the session share. It starts when the first test asks for it."""
    from pytest_longshore.server import Server, find_command  # noqa: PLC0415 - as the module says

    server, trouble = None, ""
    try:
        server = Server(
            find_command(os.environ.get("LONGSHORE_COMMAND") or pytestconfig.getini("longshore_command")),
            tmp_path_factory.mktemp("longshore"),
            account=pytestconfig.getini("longshore_account"),
            region=pytestconfig.getini("longshore_region"),
            settings=_read_settings(pytestconfig.getini("longshore_settings")),
        ).start()
    except LongshoreError as error:
        trouble = str(error)
    if server is None:
        pytest.fail(f"pytest-longshore: {trouble}", pytrace=False)
    pytestconfig.stash[_SERVER] = server
    try:
        yield server
    finally:
        del pytestconfig.stash[_SERVER]
        server.stop()


@pytest.fixture
def longshore(longshore_server: "Server") -> "Iterator[Account]":
    """The home account, with nothing in it; what the test makes there is deleted when it is over."""
    from pytest_longshore.accounts import Account  # noqa: PLC0415 - as the module says

    longshore_server.mark_log()
    account = Account(longshore_server, longshore_server.account, longshore_server.root_key, {})
    yield account
    account.clear()


def _read_settings(lines: list[str]) -> dict[str, str]:
    settings = {}
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or "." not in name:
            raise LongshoreError(f"the ini option longshore_settings has a line `{line}`: write `section.key = value`")
        settings[name] = value
    return settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> "Generator[None, pytest.TestReport, pytest.TestReport]":
    """A test that fails shows what the server wrote meanwhile, where it did."""
    report = yield
    server = item.config.stash.get(_SERVER, None)
    if report.failed and server is not None and (news := server.news().strip()):
        report.sections.append(("log of longshore", news))
    return report
