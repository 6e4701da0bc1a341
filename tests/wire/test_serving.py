"""The server as a process: several workers, restarts, stopping, TLS, and what operators look at."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults import stock
from tests.live import LiveServer
from tests.wire.certificates import Authority
from tests.wire.client import Client, Wire, digest_of, eventually, request, with_query

NAME = "serving/it"
MIB = 1024 * 1024
SETTINGS = {"registry.create_on_push": "true", "storage.reserve": "0"}


@pytest.fixture(params=[1, 3], ids=["one worker", "three workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "server", settings=SETTINGS, workers=request.param) as running:
        yield running


def pid_of(server: LiveServer) -> int:
    assert server.process is not None
    return server.process.pid


def children_of(server: LiveServer) -> list[int]:
    pid = pid_of(server)
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def metrics(server: LiveServer) -> dict[str, float]:
    """name{labels} -> value."""
    with Client(server, fresh=True) as client:
        answer = client("GET", "/metrics")
    assert answer.status == 200
    return {
        sample.name + json.dumps(sample.labels, sort_keys=True): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


# Several workers


def test_an_upload_goes_on_at_any_worker(tmp_path: Path) -> None:
    """Every request comes over a connection of its own; connections go to the workers in turn."""
    with LiveServer(tmp_path, settings=SETTINGS, workers=3) as server, Client(server, fresh=True) as client:
        for size in (5, 100_000, 300_000, 2_000_000):
            data = random.Random(size).randbytes(size)
            location, at = client.begin(NAME), 0
            for part in range(7):
                end = size * (part + 1) // 7
                answer = client("PATCH", location, data[at:end], Content_Range=f"{at}-{end - 1}" if end > at else "")
                assert answer.status == 202
                at = end
                assert client("GET", location).headers["Range"] == f"0-{max(0, at - 1)}"
            assert client("PUT", with_query(location, f"digest={digest_of(data)}")).status == 201
            for _ in range(3):
                assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
            location = client.begin(NAME)
            assert client("PATCH", location, data[: size // 2]).status == 202
            digest = digest_of(data, "sha512")
            assert client("PUT", with_query(location, f"digest={digest}"), data[size // 2 :]).status == 201
        files = list((server.data / "run").glob("*.json"))

        def all_answered() -> bool:
            found = [json.loads(path.read_text())["http_requests"] for path in files]
            return all(any(labels[0].startswith("/v2/") for labels, _ in rows) for rows in found)

        assert len(files) == 3
        assert eventually(all_answered), "each of them had a part in it"


def test_what_one_worker_did_the_others_know_at_once(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS, workers=3) as server, Client(server, fresh=True) as client:
        for number in range(40):
            digest = client.push_image(NAME, "moves", layers=[b"%d" % number])
            for _ in range(3):
                assert client("HEAD", f"/v2/{NAME}/manifests/moves").headers["Docker-Content-Digest"] == digest
            assert client("DELETE", f"/v2/{NAME}/manifests/{digest}").status == 202
            for _ in range(3):
                assert client("GET", f"/v2/{NAME}/manifests/moves").status == 404
                assert client("GET", f"/v2/{NAME}/tags/list").json["tags"] == []


def test_a_token_of_one_worker_is_good_at_all(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS, workers=3) as server, Client(server, fresh=True) as client:
        tokens = [client("GET", "/token").json["token"] for _ in range(3)]
        for token in tokens:
            with Client(server, authorization=f"Bearer {token}", fresh=True) as bearer:
                assert {bearer("GET", "/v2/").status for _ in range(3)} == {200}


def test_connections_are_spread(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS, workers=3) as server:
        eventually(lambda: metrics(server)["longshore_workers{}"] == 3)
        with contextlib.ExitStack() as stack:
            wires = [stack.enter_context(Wire(server)) for _ in range(12)]
            for wire in wires:
                wire.send(request("GET", "/healthz"))
                assert wire.receive().status == 200
            taken = sockets_of(server.port)
            counts = []
            for pid in children_of(server):
                links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
                counts.append(len(taken.intersection(links)))
        assert sum(counts) >= len(wires)
        assert max(counts) - min(counts) <= 1, counts


def sockets_of(port: int) -> set[str]:
    """The server's ends of connections to its port, as /proc names them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == established}


def test_a_worker_that_dies_is_replaced_and_nobody_else_notices(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS, workers=3) as server:
        with Client(server) as client:
            client.push_image(NAME, "latest")
        for _ in range(3):
            before = children_of(server)
            os.kill(before[0], signal.SIGKILL)
            after = eventually(
                lambda before=before: len(found := children_of(server)) == 3 and found != before and found
            )
            assert set(before[1:]) < set(after), "the others live on"
            for _ in range(9):
                with Client(server) as client:
                    assert client("GET", f"/v2/{NAME}/manifests/latest").status == 200


# Restarts


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_an_upload_survives_a_restart(end: str, server: LiveServer) -> None:
    uploads = []
    with Client(server) as client:
        for size in (1, 100, 200_000, 300_000, 3_000_000):
            data = random.Random(size).randbytes(size + 50_000)
            location = client.begin(NAME)
            assert client("PATCH", location, data[:size]).status == 202
            uploads.append((location, data, size))
    server.stop() if end == "stopped" else server.kill()
    server.start()
    with Client(server) as client:
        for location, data, size in uploads:
            state = client("GET", location)
            assert (state.status, state.headers["Range"]) == (204, f"0-{size - 1}")
            rest = data[size:]
            answer = client("PATCH", location, rest, Content_Range=f"{size}-{len(data) - 1}")
            assert answer.headers["Range"] == f"0-{len(data) - 1}"
            assert client("PUT", with_query(location, f"digest={digest_of(data)}")).status == 201
            assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
    assert stock.check(server).faults == []


def test_a_restart_forgets_nothing(server: LiveServer) -> None:
    with Client(server) as client:
        digest = client.push_image(NAME, "latest", layers=[b"x" * 700_000])
        token = client("GET", "/token").json["token"]
    for end in (server.stop, server.kill, server.stop):
        end()
        server.start()
        with Client(server, authorization=f"Bearer {token}") as client:
            assert client("GET", "/v2/").status == 200, "the signing key is the old one"
        with Client(server) as client:
            assert client("HEAD", f"/v2/{NAME}/manifests/latest").headers["Docker-Content-Digest"] == digest


# Stopping


def test_stopping_waits_for_an_upload_under_way(server: LiveServer) -> None:
    data = random.Random(1).randbytes(2_000_000)
    with Client(server) as client, Wire(server) as busy, Wire(server) as streamed, Wire(server) as idle:
        first, second = client.begin(NAME), client.begin(NAME)
        idle.send(request("GET", "/healthz"))
        assert idle.receive().status == 200
        fields = (f"Content-Length: {len(data)}",)
        busy.send(
            request(
                "PUT", with_query(first, f"digest={digest_of(data)}"), *fields, authorization=client.authorization,
                body=data[:1_000_000],
            )
        )  # fmt: skip
        streamed.send(
            request("PATCH", second, "Transfer-Encoding: chunked", authorization=client.authorization)
            + b"5\r\nabcde\r\n"
        )
        time.sleep(0.3)  # the requests are under way
        os.kill(pid_of(server), signal.SIGTERM)
        assert idle.ends(), "who waits for nothing is not waited for"
        eventually(lambda: not accepts(server))
        busy.send(data[1_000_000:])
        answer = busy.receive("PUT")
        assert (answer.status, answer.headers["Connection"]) == (201, "close")
        streamed.send(b"3\r\nfgh\r\n0\r\n\r\n")
        assert streamed.receive("PATCH").headers["Range"] == "0-7"
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    server.start()
    with Client(server) as client:
        assert client("GET", f"/v2/{NAME}/blobs/{digest_of(data)}").body == data
        assert client("GET", second).headers["Range"] == "0-7"


def accepts(server: LiveServer) -> bool:
    try:
        socket.create_connection((server.host, server.port), timeout=1).close()
    except OSError:
        return False
    return True


def test_stopping_waits_for_a_download_under_way(server: LiveServer) -> None:
    data = random.Random(2).randbytes(40 * MIB)
    with Client(server) as client, Wire(server) as slow:
        digest = client.push_blob(NAME, data)
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        slow.send(request("GET", f"/v2/{NAME}/blobs/{digest}", authorization=client.authorization))
        assert slow.receive_line() == b"HTTP/1.1 200 OK\r\n"
        os.kill(pid_of(server), signal.SIGTERM)
        eventually(lambda: not accepts(server))
        for _ in iter(slow.receive_line, b"\r\n"):
            pass
        assert slow._file.read(len(data)) == data
        assert slow.ends()
    server.stop()


def test_stopping_does_not_wait_for_ever(tmp_path: Path) -> None:
    server = LiveServer(tmp_path, settings={**SETTINGS, "server.drain": "1"})
    with server, Client(server) as client, Wire(server) as stuck:
        location = client.begin(NAME)
        stuck.send(request("PATCH", location, "Content-Length: 1000000", authorization=client.authorization))
        time.sleep(0.2)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 8
        server.start()
        client.close()
        assert client("GET", location).headers["Range"] == "0-0"


def test_stopping_under_load_loses_nothing_that_was_acknowledged(server: LiveServer) -> None:
    acknowledged: list[tuple[str, bytes]] = []
    odd: list[object] = []

    def push(number: int) -> None:
        source = random.Random(number)
        with Client(server) as client, contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                data = source.randbytes(source.choice((100, 300_000)))
                answer = client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data)
                if answer.status != 201:
                    odd.append(answer)
                    return
                acknowledged.append((digest_of(data), data))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(acknowledged) > 30)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 10
    for thread in threads:
        thread.join()
    assert odd == []
    server.start()
    with Client(server) as client:
        for digest, data in acknowledged:
            assert client("GET", f"/v2/{NAME}/blobs/{digest}").body == data
    assert "Traceback" not in server.log.read_text()


# What operators look at


def test_health_readiness_and_metrics(server: LiveServer) -> None:
    with Client(server, authorization="") as nobody:
        assert (nobody("GET", "/healthz").status, nobody("GET", "/healthz").body) == (200, b"ok\n")
        assert (nobody("GET", "/readyz").status, nobody("GET", "/readyz").body) == (200, b"ready\n")
        answer = nobody("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    eventually(lambda: metrics(server)["longshore_workers{}"] == server.workers)


def test_requests_are_counted_whoever_answered(server: LiveServer) -> None:
    key = 'longshore_http_requests_total{"method": "GET", "route": "/v2/", "status": "401"}'
    before = metrics(server).get(key, 0)
    with Client(server, authorization="", fresh=True) as nobody:
        for _ in range(30):
            assert nobody("GET", "/v2/").status == 401
    eventually(lambda: metrics(server).get(key, 0) == before + 30)


@pytest.mark.usefixtures("blobs_on_disk")
def test_ready_says_no_when_the_store_is_gone(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS) as server:
        moved = server.data / "blobs-moved"
        (server.data / "blobs").rename(moved)
        try:
            with Client(server, authorization="") as nobody:
                eventually(lambda: nobody("GET", "/readyz").status == 503)  # a look serves all who ask for a moment
                assert nobody("GET", "/readyz").body.startswith(b"not ready: ")
                assert nobody("GET", "/healthz").status == 200, "starting it again would not help"
        finally:
            moved.rename(server.data / "blobs")
        eventually(server.ready)


def test_every_answer_has_a_request_id_and_the_log_has_it_too(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings={**SETTINGS, "server.log_format": "json"}) as server, Client(server) as client:
        found = [client("GET", path) for path in ("/v2/", "/v2/BAD/tags/list", "/healthz", "/nothing", "/token")]
        with Wire(server) as wire:
            wire.send(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n")
            found.append(wire.receive())
        identifiers = [answer.headers["x-amzn-RequestId"] for answer in found]
        assert len(set(identifiers)) == len(found)
        assert all(len(identifier) == 36 for identifier in identifiers)
        log = eventually(lambda: (text := server.log.read_text()).count('"/token"') == 1 and text)
        assert all(identifier in log for identifier in identifiers[:-1]), "what was no request is not logged"


def test_nothing_secret_is_ever_logged(tmp_path: Path) -> None:
    with LiveServer(tmp_path, settings=SETTINGS) as server, Client(server) as client:
        token = client("GET", "/token?scope=repository:a/b:pull").json["token"]
        client("GET", "/v2/", Authorization=f"Bearer {token}")
        client("GET", f"/_blobs/{token}")
        client("GET", "/v2/", Authorization="Basic !!!")
        client("POST", "/token", f"grant_type=password&username=a&password={server.secret_access_key}".encode())
        client("GET", f"/v2/x/y/tags/list?password={server.secret_access_key}")
        key = server.key_file.read_text().strip()
        secrets = [server.secret_access_key, token, client.authorization.split()[1], key]
        log = eventually(lambda: "x/y" in (text := server.log.read_text()) and text)
        assert not [secret for secret in secrets if secret in log]


# TLS


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def secure(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[LiveServer]:
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    authority.issue("first.test").write(*files)
    settings = {**SETTINGS, "tls.certificate": str(files[0]), "tls.key": str(files[1])}
    with LiveServer(tmp_path / "server", settings=settings, scheme="https", workers=request.param) as running:
        yield running


class SecureClient:
    """One connection, verified."""

    def __init__(self, server: LiveServer, authority: Authority) -> None:
        self.connection = http.client.HTTPSConnection(server.host, server.port, context=authority.context(), timeout=30)
        self.connection.connect()
        with Client(server) as plain:
            self.fields = {"Authorization": plain.authorization}

    @property
    def name(self) -> str:
        """The common name of the certificate that the server showed."""
        assert isinstance(self.connection.sock, ssl.SSLSocket)
        subject = dict(pair for part in self.connection.sock.getpeercert()["subject"] for pair in part)  # type: ignore[index, union-attr, misc]
        return str(subject["commonName"])

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
        self.connection.request(method, path, body, self.fields)
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def close(self) -> None:
        self.connection.close()


def shown(server: LiveServer, authority: Authority) -> str:
    client = SecureClient(server, authority)
    try:
        assert client.ask("GET", "/healthz")[0] == 200
        return client.name
    finally:
        client.close()


def test_images_go_over_tls(secure: LiveServer, authority: Authority) -> None:
    client = SecureClient(secure, authority)
    for size in (10, 300_000, 3_000_000):
        data = random.Random(size).randbytes(size)
        status, headers, _ = client.ask("POST", f"/v2/{NAME}/blobs/uploads/")
        assert status == 202
        assert headers["Location"].startswith(f"/v2/{NAME}/"), "no scheme to get wrong"
        assert client.ask("PUT", with_query(headers["Location"], f"digest={digest_of(data)}"), data)[0] == 201
        assert client.ask("GET", f"/v2/{NAME}/blobs/{digest_of(data)}")[2] == data
    client.fields = {}
    _, headers, _ = client.ask("GET", "/v2/")
    assert headers["WWW-Authenticate"] == f'Basic realm="{secure.url}/",service="ecr.amazonaws.com"'
    client.close()


def test_old_protocols_are_not_spoken(secure: LiveServer, authority: Authority) -> None:
    context = authority.context()
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((secure.host, secure.port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_http_on_the_tls_port_hurts_nobody(secure: LiveServer, authority: Authority) -> None:
    for first in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\0" * 1000, b""):
        with socket.create_connection((secure.host, secure.port), timeout=10) as plain:
            plain.sendall(first)
    assert shown(secure, authority) == "first.test"
    assert "Traceback" not in secure.log.read_text()


def test_a_new_certificate_is_served_and_no_connection_dropped(secure: LiveServer, authority: Authority) -> None:
    old = [SecureClient(secure, authority) for _ in range(4)]
    assert {client.name for client in old} == {"first.test"}
    files = Path(secure.settings["tls.certificate"]), Path(secure.settings["tls.key"])
    authority.issue("second.test").write(*files)
    for _ in range(secure.workers * 2):
        eventually(lambda: shown(secure, authority) == "second.test", 20)
    eventually(lambda: {shown(secure, authority) for _ in range(4)} == {"second.test"}, 20)
    for client in old:
        assert client.ask("GET", "/v2/")[0] == 200
        assert client.name == "first.test"
        client.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        SecureClient(secure, Authority())


@pytest.mark.parametrize("secure", [1], indirect=True)
@pytest.mark.parametrize("broken", ["no certificate", "half a certificate", "another's key", "gone"])
def test_a_broken_certificate_leaves_the_old_one_in_use(broken: str, secure: LiveServer, authority: Authority) -> None:
    certificate, key = Path(secure.settings["tls.certificate"]), Path(secure.settings["tls.key"])
    good = certificate.read_bytes()
    if broken == "no certificate":
        certificate.write_bytes(b"this is none\n")
    elif broken == "half a certificate":
        certificate.write_bytes(good[: len(good) // 2])
    elif broken == "another's key":
        key.write_bytes(authority.issue("other.test").key)
    else:
        certificate.unlink()
    eventually(lambda: secure.log.read_text().count("the old one stays in use") >= secure.workers)
    assert shown(secure, authority) == "first.test"
    authority.issue("third.test").write(certificate, key)
    eventually(lambda: {shown(secure, authority) for _ in range(3)} == {"third.test"}, 20)


def test_stopping_waits_over_tls_too(secure: LiveServer, authority: Authority) -> None:
    client = SecureClient(secure, authority)
    data = random.Random(3).randbytes(1_000_000)
    _, headers, _ = client.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    client.connection.putrequest("PUT", with_query(headers["Location"], f"digest={digest_of(data)}"))
    client.connection.putheader("Content-Length", str(len(data)))
    client.connection.putheader("Authorization", client.fields["Authorization"])
    client.connection.endheaders()
    client.connection.send(data[:400_000])
    time.sleep(0.3)  # the request is under way
    os.kill(pid_of(secure), signal.SIGTERM)
    eventually(lambda: not accepts(secure))
    client.connection.send(data[400_000:])
    assert client.connection.getresponse().status == 201
    client.close()
    secure.stop()
