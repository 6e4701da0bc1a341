"""The database fails over to its standby: errors for seconds, nothing acknowledged is lost, nobody is restarted."""

import http.client
import signal
import threading
import time
from pathlib import Path

from tests.live import LiveServer
from tests.postgres import serving
from tests.replicas.conftest import Fleet
from tests.s3 import S3Server
from tests.wire.client import Client, eventually

NAME = "replicas/failover"
RECOVERED = 10.0
"""Seconds from the promotion until every replica takes pushes again."""


class Pusher(threading.Thread):
    """Pushes an image after the other, and remembers what was acknowledged."""

    def __init__(self, server: LiveServer, who: int) -> None:
        super().__init__()
        self.server = server
        self.who = who
        self.stopping = threading.Event()
        self.acknowledged: dict[str, str] = {}
        self.refused: list[str] = []
        self.last = 0.0

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            tag = f"{self.who}-{number}"
            try:
                with Client(self.server) as client:
                    digest = client.push_image(NAME, tag, layers=[f"layer {tag}".encode() * 100])
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self.refused.append(f"{error}")
                self.stopping.wait(0.05)
                continue
            self.acknowledged[tag] = digest
            self.last = time.monotonic()


def test_replicas_go_on_at_the_standby(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.new_bucket()
    with serving() as primary:
        standby = primary.standby(primary.directory.parent / "standby")
        try:
            name = primary.new_database().rpartition("/")[2]
            keys = tmp_path / "keys"
            keys.write_text("a server key of the tests, of more than thirty-two characters\n")
            shared = {
                "database.url": f"postgresql://longshore@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{name}",
                "secrets.key_file": str(keys),
                "root.access_key_id": "AKIAROOTOFTHETESTS22",
                "root.secret_access_key": "the/secret+of+the+root+user+of+the+tests",
                "storage.driver": "s3",
                "storage.s3_bucket": bucket.bucket,
                "storage.s3_endpoint_url": bucket.endpoint_url,
                "storage.s3_access_key_id": bucket.access_key_id,
                "storage.s3_secret_access_key": bucket.secret_access_key,
                "storage.s3_redirect": "false",
            }
            with Fleet(tmp_path / "fleet", shared, count=2) as fleet:
                pushers = [Pusher(server, who) for who, server in enumerate(fleet.servers)]
                for pusher in pushers:
                    pusher.start()
                try:
                    eventually(lambda: all(len(pusher.acknowledged) >= 3 for pusher in pushers))
                    primary.stop(signal.SIGQUIT)
                    standby.execute("SELECT pg_promote()")
                    promoted = time.monotonic()
                    eventually(lambda: all(pusher.last > promoted for pusher in pushers), within=3 * RECOVERED)
                    recovered = time.monotonic() - promoted
                    before = [len(pusher.refused) for pusher in pushers]
                    eventually(lambda: all(len(pusher.acknowledged) >= 20 for pusher in pushers))
                    assert [len(pusher.refused) for pusher in pushers] == before, "it is over when it is over"
                finally:
                    for pusher in pushers:
                        pusher.stopping.set()
                    for pusher in pushers:
                        pusher.join()
                assert recovered < RECOVERED
                print(f"{[len(pusher.refused) for pusher in pushers]} refused, back after {recovered:.1f} s")
                for pusher in pushers:
                    for tag, digest in pusher.acknowledged.items():
                        for client in fleet:
                            found = client("HEAD", f"/v2/{NAME}/manifests/{tag}")
                            assert found.headers["Docker-Content-Digest"] == digest
        finally:
            standby.stop()
