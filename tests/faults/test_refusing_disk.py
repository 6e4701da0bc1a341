"""A disk that takes no more: read-only, failing, over its quota. Pulls go on, pushes are refused, and when the disk takes
again nothing has to be restarted, and nothing was lost.

The layer of the power cuts stands in for the disk: no file system can be made read-only below a server that writes to it.
"""

import contextlib
import errno
import random
import shutil
import time
from collections.abc import Iterator

import botocore.exceptions
import pytest

from tests import require
from tests.faults import stock
from tests.faults.power import journal
from tests.faults.power.ground import Ground, JournaledServer, LaterServer, build
from tests.faults.power.history import held_in
from tests.faults.power.journal import Chance
from tests.faults.test_outages import NAME, Load
from tests.rooms import quick_directory
from tests.wire.client import Client, digest_of, eventually, with_query

AWAY = 60.0 if require.long_form() else 1.5
SETTINGS = {
    "registry.create_on_push": "true", "storage.reserve": "0", "server.access_log": "false", "gc.interval": "0.3",
    "gc.settle": "0",
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("rows_on_disk", "blobs_on_disk")


@pytest.fixture
def ground() -> Iterator[Ground]:
    with quick_directory() as directory:
        yield Ground(directory / "ground", build(directory))


@contextlib.contextmanager
def refusing(ground: Ground, error: int) -> Iterator[None]:
    journal.refuse(ground.journal, error)
    try:
        yield
    finally:
        journal.refuse(ground.journal, 0)


@pytest.mark.parametrize(
    "error", [errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=lambda one: errno.errorcode[one]
)
def test_a_disk_that_refuses_is_said_and_nothing_has_to_be_restarted(error: int, ground: Ground) -> None:
    with JournaledServer(ground, settings=SETTINGS, workers=2) as server, Client(server) as client:
        assert server.process is not None
        layers = [b"\x33" * 3000, b"\x44" * 700_000]
        digest = client.push_image(NAME, "kept", layers=layers)
        location = client.begin(NAME)
        assert client("PATCH", location, b"first " * 50_000).status == 202
        load = Load(server, 20.0)
        with load:
            eventually(lambda: len(load.acknowledged) > 3)
            with refusing(ground, error):
                began = time.monotonic()
                while time.monotonic() - began < AWAY:
                    assert client("GET", f"/v2/{NAME}/manifests/kept").status == 200, "pulls go on"
                    for layer in layers:
                        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(layer)}").body == layer
                    data = random.Random(began).randbytes(400_000)
                    for method, path, body in (
                        ("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(b'x')}", b"x"),
                        ("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data),
                        ("PATCH", location, data),
                        ("PUT", with_query(location, f"digest={digest_of(b'first ' * 50_000)}"), None),
                        ("DELETE", f"/v2/{NAME}/manifests/kept", None),
                    ):
                        answer = client(method, path, body)
                        assert (answer.status, answer.code) in {(503, "UNAVAILABLE"), (507, "SIZE_INVALID")}, (
                            method,
                            answer,
                        )
                    for operation, given in (
                        (server.client("ecr").create_repository, {"repositoryName": "refused"}),
                        (server.client("ecr").initiate_layer_upload, {"repositoryName": NAME}),
                        (server.client("iam").create_user, {"UserName": "refused"}),
                    ):
                        with pytest.raises(botocore.exceptions.ClientError) as refused:
                            operation(**given)
                        assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
                        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
                    token = client("GET", f"/token?scope=repository:{NAME}:pull").json["token"]
                    with Client(server, authorization=f"Bearer {token}") as newcomer:
                        assert newcomer("GET", f"/v2/{NAME}/manifests/kept").status == 200, "whoever logs in pulls, too"
                    assert client("GET", "/healthz").status == 200
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > before + 5 or load.failures, within=60)
        assert load.failures == []
        assert load.refused
        assert server.process.poll() is None
        server.client("ecr").create_repository(repositoryName="refused")
        stands = client("GET", location)
        if stands.status == 204:  # where its bytes may have been lost it is over
            assert stands.headers["Range"] == "0-299999"
        at = ground.position()
        for taken in load.acknowledged:
            assert client("GET", f"/v2/{NAME}/manifests/{taken}").status == 200
        assert client("GET", f"/v2/{NAME}/manifests/kept").headers["Docker-Content-Digest"] == digest
        assert stock.check(server).faults == []
        server.kill()
    _survives_a_cut(ground, at, [digest, *load.acknowledged])


def _survives_a_cut(ground: Ground, cut: int, digests: list[str]) -> None:
    """What was acknowledged before, while and after the disk refused was all synced."""
    disk = journal.read(ground.journal)
    for keeps in (0.0, 0.5):
        image = ground.place / "image"
        disk.after(cut, chance=Chance(random.Random(1), keeps=keeps)).write(image)
        later = LaterServer(image, image, ground.layer)
        held = held_in(later.data / "longshore.db")[NAME]
        assert [digest for digest in digests if ("manifest", digest) not in held] == []
        assert stock.check(later).faults == []
        shutil.rmtree(image)
