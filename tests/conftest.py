"""What holds for all tests: which may run, and what a failed one shows."""

from collections.abc import Generator, Iterator

import pytest

from tests import live, require
from tests.backing import CHOICES, Backing
from tests.parts import built
from tests.postgres import PostgresServer, program, serving
from tests.s3 import MotoServer, S3Server
from tests.s3 import serving as serving_s3


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backing",
        choices=CHOICES,
        default="disk",
        help="where the servers of tests keep rows and blobs (default: disk)",
    )


def pytest_configure() -> None:
    require.required()  # a misspelt capability stops the run before it could pass


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if require.long_form():
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: takes minutes; runs with LONGSHORE_LONG=1"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the end of the log of every server that was up."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {server.url}", server.log_tail()) for server in live.RUNNING]
    return report


@pytest.fixture(scope="session", autouse=True)
def backing(request: pytest.FixtureRequest) -> Iterator[str]:
    """What the option says, for all servers of the run."""
    chosen: str = request.config.getoption("--backing")
    parts = chosen.split("+")
    if chosen != "disk":
        live.BACKING = Backing(
            request.getfixturevalue("postgres") if "postgres" in parts else None,
            request.getfixturevalue("s3") if "s3" in parts else None,
        )
    yield chosen
    live.BACKING = None


@pytest.fixture
def blobs_on_disk(backing: str) -> None:
    """For tests about the directory of blobs."""
    if "s3" in backing:
        pytest.skip("about blobs on a disk")


@pytest.fixture
def rows_on_disk(backing: str) -> None:
    """For tests about the database's file."""
    if "postgres" in backing:
        pytest.skip("about rows on a disk")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One S3 server for all tests; each takes a bucket of its own."""
    require.need("s3", built("versitygw"), "an S3 server (versitygw)")
    with serving_s3() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """An S3 server of another make."""
    require.need("s3", built("moto"), "another S3 server (moto)")
    with serving_s3(MotoServer) as server:
        assert isinstance(server, MotoServer)
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests; each takes a database of its own."""
    require.need("postgres", program("postgres"), "PostgreSQL")
    with serving() as server:
        yield server
