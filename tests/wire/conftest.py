"""One server for the tests of a module, and a client of its root user."""

from collections.abc import Iterator

import pytest

from tests.live import LiveServer
from tests.wire.client import Client
from tests.wire.collector import Collector

SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server"), settings=SETTINGS) as running:
        yield running


@pytest.fixture
def root(server: LiveServer) -> Iterator[Client]:
    with Client(server) as client:
        yield client


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()
