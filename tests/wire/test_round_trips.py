"""How often a request asks the database: what is on the way of every pull asks once."""

from collections.abc import Callable, Iterator

import pytest

from tests.live import LiveServer
from tests.wire.client import IMAGE, Answer, Client, digest_of
from tests.wire.collector import Collector
from tests.wire.principals import allow, make_user

NAME = "round/trips"
NOW_AND_THEN = ("FROM epochs", "FROM seals")
"""What a process asks twice a second at the most, for all of its requests."""
READS: dict[str, tuple[int, Callable[[Client], Answer]]] = {
    "a manifest by its tag": (1, lambda client: client("GET", f"/v2/{NAME}/manifests/latest")),
    "whether a tag is there": (1, lambda client: client("HEAD", f"/v2/{NAME}/manifests/latest")),
    "a manifest by its digest": (1, lambda client: client("GET", f"/v2/{NAME}/manifests/{digest(client)}")),
    "a blob": (1, lambda client: client("GET", f"/v2/{NAME}/blobs/{digest_of(b'a layer')}")),
    "whether a blob is there": (1, lambda client: client("HEAD", f"/v2/{NAME}/blobs/{digest_of(b'a layer')}")),
    "a page of tags": (2, lambda client: client("GET", f"/v2/{NAME}/tags/list?n=10")),
    "a page of referrers": (2, lambda client: client("GET", f"/v2/{NAME}/referrers/{digest(client)}")),
}
"""What is asked for -> reads, and the request."""


def digest(client: Client) -> str:
    return client("HEAD", f"/v2/{NAME}/manifests/latest").headers["Docker-Content-Digest"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[LiveServer]:
    settings = {
        "registry.create_on_push": "true", "storage.reserve": "0", "telemetry.endpoint": collector.endpoint,
        "telemetry.sample_ratio": "1",
    }  # fmt: skip
    with LiveServer(tmp_path_factory.mktemp("traced"), settings=settings) as running, Client(running) as client:
        image = client.push_image(NAME, "latest")
        subject = {"mediaType": IMAGE, "digest": image, "size": 2}
        client.push_manifest(NAME, client.image(NAME, subject=subject))
        yield running


@pytest.fixture(scope="module")
def known(server: LiveServer) -> Iterator[Client]:
    """A user's, whose identity and policies the server has just looked at."""
    user = make_user(server, "puller", allow("ecr:*"))
    with user.docker() as client:
        yield client


@pytest.mark.parametrize("who", ["root", "known"])
@pytest.mark.parametrize("what", READS)
def test_what_is_read_on_the_way_of_a_pull_is_read_at_once(
    what: str, who: str, request: pytest.FixtureRequest, collector: Collector
) -> None:
    client: Client = request.getfixturevalue(who)
    most, ask = READS[what]
    assert ask(client).status == 200
    answer = ask(client)
    span = collector.of(answer.headers["x-amzn-RequestId"])
    calls = [child for child in collector.children(span) if child.name.startswith("database")]
    assert {child.name for child in calls} == {"database read"}
    reads = [child.attributes["db.query.text"] for child in calls]
    assert len([text for text in reads if not any(some in text for some in NOW_AND_THEN)]) == most, reads
