"""An S3 server that stores for real (versitygw over a directory), and buckets in it."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from store.bucket import S3Settings
from tests.parts import built
from tests.ports import free_port
from tests.rooms import quick_directory

ACCESS_KEY = "longshoretests"
SECRET_KEY = "a secret of the tests"
_READY_SECONDS = 30.0


class S3Server:
    """One server; every bucket is a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it listens."""
        program = built("versitygw")
        assert program is not None
        (self.directory / "buckets").mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--keep-alive", "--port", f"127.0.0.1:{self.port}", "posix", self.directory / "buckets"],
                env={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY, "HOME": str(self.directory)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                assert self._process.poll() is None, (self.directory / "log").read_text()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.05)
            else:
                return

    def stop(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None

    def new_bucket(self) -> S3Settings:
        """An empty bucket, and how to reach it."""
        self._made += 1
        name = f"bucket-{self._made}"
        (self.directory / "buckets" / name).mkdir()
        return self.settings(name)

    def settings(self, bucket: str) -> S3Settings:
        return S3Settings(
            bucket=bucket,
            endpoint_url=self.url,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            read_timeout=10.0,
        )


@contextlib.contextmanager
def serving() -> Iterator[S3Server]:
    """A server in memory."""
    with quick_directory() as directory:
        server = S3Server(directory)
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.stop()
