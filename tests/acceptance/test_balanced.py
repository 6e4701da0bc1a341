"""Docker at three replicas behind a balancer, from the example files, while replicas are killed one after the other."""

import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import parts, require
from tests.acceptance.conftest import BASE
from tests.acceptance.programs import Engine, Program, bare_environment
from tests.backing import Backing
from tests.balancers import Proxy, balancer
from tests.faults import stock
from tests.live import LiveServer
from tests.postgres import PostgresServer
from tests.require import need
from tests.s3 import S3Server
from tests.wire.client import Client, digest_of, eventually

NAME = "balanced/app"
LAYERS, LAYER = 3, 1_500_000
KILLS = 3
"""Each replica once; in the long form ten times."""


@dataclass
class Fleet:
    """Three replicas and what is in front of them. `attempts`: how often one push may have to be made."""

    servers: list[LiveServer]
    proxy: Proxy
    attempts: int


@pytest.fixture(params=["haproxy", "nginx"])
def fleet(request: pytest.FixtureRequest, postgres: PostgresServer, s3: S3Server, tmp_path: Path) -> Iterator[Fleet]:
    shared = {
        **Backing(postgres, s3).settings(tmp_path / "shared"),
        "registry.create_on_push": "true",
        "server.trusted_proxies": "127.0.0.1",
    }
    servers = [LiveServer(tmp_path / f"replica-{number}", settings=shared) for number in (1, 2, 3)]
    try:
        for server in servers:
            server.start()
        with balancer(request.param, tmp_path / "balancer", servers) as proxy:
            # nginx cannot send the blob of an image's configuration again, and docker does not
            yield Fleet(servers, proxy, attempts=3 if request.param == "nginx" else 1)
    finally:
        for server in servers:
            server.close()


@dataclass
class Docker:
    """docker, that works on its own until it is told to stop. `failures` are what it could not do, in its words."""

    program: Program
    context: Path
    prefix: str
    stopping: threading.Event = field(default_factory=threading.Event)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Tag -> the image's id."""
    pulled: int = 0
    repeated: int = 0
    failures: list[str] = field(default_factory=list)

    def push_on(self, seed: int, attempts: int) -> None:
        source = random.Random(seed)
        number = 0
        while not self.stopping.is_set() and not self.failures:
            number += 1
            tag = f"{self.prefix}-{number}"
            self._build(tag, source)
            for attempt in range(attempts):
                done = self.program.run("push", tag)
                if done.returncode == 0:
                    break
                if attempt + 1 == attempts:
                    self.failures.append(f"push {tag}: {done.stdout}{done.stderr}")
                    return
                self.repeated += 1
            self.acknowledged[tag] = self._id(tag)

    def pull_on(self, seed: int, others: "list[Docker]") -> None:
        source = random.Random(seed)
        while not self.stopping.is_set() and not self.failures:
            known = [pair for other in others for pair in list(other.acknowledged.items())]
            if not known:
                self.stopping.wait(0.05)
                continue
            tag, identifier = source.choice(known)
            self.check_pull(tag, identifier)

    def check_pull(self, tag: str, identifier: str) -> None:
        """The image comes from the registry, whole: docker compares every digest."""
        self.program.run("rmi", "--force", tag)
        done = self.program.run("pull", tag)
        if done.returncode != 0:
            self.failures.append(f"pull {tag}: {done.stdout}{done.stderr}")
        elif self._id(tag) != identifier:
            self.failures.append(f"pull {tag}: another image")
        else:
            self.pulled += 1

    def _id(self, tag: str) -> str:
        return self.program("image", "inspect", "--format", "{{.Id}}", tag).strip()

    def _build(self, tag: str, source: random.Random) -> None:
        lines = [f"FROM {BASE}"]
        for layer in range(LAYERS):
            (self.context / f"layer-{layer}").write_bytes(source.randbytes(LAYER))
            lines.append(f"COPY layer-{layer} /layer-{layer}")
        (self.context / "Dockerfile").write_text("\n".join(lines))
        self.program("build", "--quiet", "--tag", tag, str(self.context))


@pytest.fixture
def new_docker(
    engine: Engine, debian_docker: Path, root_files: Path, tmp_path: Path
) -> Iterator[Callable[[str, Proxy], Docker]]:
    """A docker with an engine of its own, so that what one pulls the other has not."""
    engines: list[Engine] = []

    def make(name: str, proxy: Proxy) -> Docker:
        running = engine
        if engines:
            # sockets have short names
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-")))
            running = stack.enter_context(Engine(directory, need("docker", parts.system("dockerd"), "dockerd")))
        engines.append(running)
        home = tmp_path / f"home-{name}"
        context = home / "context"
        context.mkdir(parents=True)
        environment = bare_environment(
            home, DOCKER_HOST=running.host, DOCKER_CONFIG=str(home / ".docker"), DOCKER_BUILDKIT="0"
        )
        program = Program(debian_docker, environment, cwd=home)
        program("import", str(root_files), BASE)
        program(
            "login", "--username", proxy.access_key_id, "--password-stdin", proxy.address,
            stdin=proxy.secret_access_key,
        )  # fmt: skip
        return Docker(program, context, f"{proxy.address}/{NAME}:{name}")

    with ExitStack() as stack:
        yield make


def test_docker_notices_nothing_of_replicas_that_are_killed(
    fleet: Fleet, new_docker: Callable[[str, Proxy], Docker]
) -> None:
    pusher, puller = new_docker("pusher", fleet.proxy), new_docker("puller", fleet.proxy)
    threads = [
        threading.Thread(target=pusher.push_on, args=(1, fleet.attempts)),
        threading.Thread(target=puller.pull_on, args=(2, [pusher])),
    ]
    for thread in threads:
        thread.start()
    moments = random.Random(3)
    began = time.monotonic()
    try:
        eventually(lambda: pusher.acknowledged or pusher.failures, within=60)
        for number in range(KILLS * (10 if require.long_form() else 1)):
            server = fleet.servers[number % 3]
            time.sleep(moments.uniform(0.3, 1.5))  # a random moment of the load
            server.kill()
            time.sleep(moments.uniform(0.3, 1.5))
            server.start()
    finally:
        for docker in (pusher, puller):
            docker.stopping.set()
        for thread in threads:
            thread.join(180)
    seconds = time.monotonic() - began
    assert pusher.failures + puller.failures == []
    for tag, identifier in pusher.acknowledged.items():
        puller.check_pull(tag, identifier)
    assert puller.failures == []
    assert pusher.repeated <= 1 + len(pusher.acknowledged) / 100
    print(f"{len(pusher.acknowledged)} pushes ({pusher.repeated} repeated), {puller.pulled} pulls, {seconds:.0f} s")
    verify(fleet, [tag.rpartition(":")[2] for tag in pusher.acknowledged])


def verify(fleet: Fleet, tags: list[str]) -> None:
    """Every replica has every tag with all its bytes; rows and bytes agree."""
    assert tags
    for server in fleet.servers:
        with Client(server) as client:
            assert set(tags) <= set(client("GET", f"/v2/{NAME}/tags/list?n=1000").json["tags"])
            for tag in tags:
                manifest = client("GET", f"/v2/{NAME}/manifests/{tag}")
                assert digest_of(manifest.body) == manifest.headers["Docker-Content-Digest"]
                document = json.loads(manifest.body)
                for entry in (document["config"], *document["layers"]):
                    blob = client("GET", f"/v2/{NAME}/blobs/{entry['digest']}")
                    assert digest_of(blob.body) == entry["digest"]
    assert stock.check(fleet.servers[0]).faults == []


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_what_clients_say_of_their_connection_does_not_pass_a_balancer(kind: str, tmp_path: Path) -> None:
    with LiveServer(tmp_path / "data", settings={"server.trusted_proxies": "127.0.0.1"}) as server:
        with Client(server, authorization="") as direct:
            told = direct("GET", "/v2/", headers={"X-Forwarded-Proto": "https"})
            assert 'realm="https://' in told.headers["WWW-Authenticate"]
        with balancer(kind, tmp_path / "balancer", [server] * 3) as proxy, Client(proxy, authorization="") as client:
            answer = client("GET", "/v2/", headers={"X-Forwarded-Proto": "https"})
            assert f'realm="http://{proxy.address}/"' in answer.headers["WWW-Authenticate"]
