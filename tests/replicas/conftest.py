"""Several servers with nothing in common but a database of PostgreSQL and a bucket."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from tests.backing import Backing
from tests.live import LiveServer
from tests.postgres import PostgresServer
from tests.s3 import S3Server
from tests.wire.client import Client

SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0"}


class Fleet:
    """Replicas, each with a directory of its own, and a client of the root user for each."""

    def __init__(self, directory: Path, shared: Mapping[str, str], *, count: int, **options: Any) -> None:
        self.shared = {**SETTINGS, **shared}
        self.directory = directory
        self.servers = [
            LiveServer(directory / f"replica-{number}", settings=self.shared, **options) for number in range(count)
        ]
        self.clients: list[Client] = []
        self._stack = ExitStack()

    def another(self, **settings: str) -> LiveServer:
        """One more over the same store, not started."""
        return LiveServer(self.directory / f"another-{len(settings)}", settings={**self.shared, **settings})

    def __getitem__(self, number: int) -> Client:
        """The client of a replica; numbers go round."""
        return self.clients[number % len(self.clients)]

    def __iter__(self) -> Iterator[Client]:
        return iter(self.clients)

    def together(self, work: Callable[[int], None]) -> None:
        """Once for each replica, all at once."""
        failures: list[BaseException] = []

        def run(number: int) -> None:
            try:
                work(number)
            except BaseException as error:  # noqa: BLE001 - raised below
                failures.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(self.servers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for failure in failures:
            raise failure

    def __enter__(self) -> Self:
        for server in self.servers:
            self._stack.callback(server.close)
        try:
            self.together(lambda number: self.servers[number].start() and None)
            self.clients = [self._stack.enter_context(Client(server)) for server in self.servers]
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def new_store(
    postgres: PostgresServer, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], dict[str, str]]:
    """The settings of an empty database and an empty bucket."""

    def make() -> dict[str, str]:
        return dict(Backing(postgres, s3).settings(tmp_path_factory.mktemp("shared")))

    return make


@pytest.fixture
def store(new_store: Callable[[], dict[str, str]]) -> dict[str, str]:
    return new_store()


@pytest.fixture(scope="module")
def fleet(new_store: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three."""
    with Fleet(tmp_path_factory.mktemp("fleet"), new_store(), count=3) as running:
        yield running
