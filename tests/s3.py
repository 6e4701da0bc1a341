"""S3 servers and buckets in them: one that stores for real (versitygw over a directory), and one that knows all of S3 (moto)."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

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

    def command(self) -> list[str | Path]:
        program = built("versitygw")
        assert program is not None
        return [program, "--keep-alive", "--port", f"127.0.0.1:{self.port}", "posix", self.directory / "buckets"]

    def start(self) -> None:
        """Returns once it listens."""
        (self.directory / "buckets").mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
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
        self.make(name)
        return self.settings(name)

    def make(self, name: str) -> None:
        (self.directory / "buckets" / name).mkdir()

    def settings(self, bucket: str) -> S3Settings:
        return S3Settings(
            bucket=bucket,
            endpoint_url=self.url,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            read_timeout=10.0,
        )


class MotoServer(S3Server):
    """Keeps everything in its memory. It knows nearly all of S3, and says what it was told: encryption, for one."""

    def command(self) -> list[str | Path]:
        program = built("moto")
        assert program is not None
        return [program, "-H", "127.0.0.1", "-p", str(self.port)]

    def make(self, name: str) -> None:
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()

    def client(self) -> Any:
        """boto3's."""
        return boto3.session.Session().client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )  # fmt: skip


@contextlib.contextmanager
def serving(kind: type[S3Server] = S3Server) -> Iterator[S3Server]:
    """A server in memory."""
    with quick_directory() as directory:
        server = kind(directory)
        server.start()
        try:
            yield server
        finally:
            if server.running:
                server.stop()
