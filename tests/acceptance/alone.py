"""Run in a network namespace of its own: installs a bundle and serves from it. Standard library only; prints `served`.

python alone.py BUNDLE PREFIX DIRECTORY PYTHON
"""

import base64
import configparser
import fcntl
import hashlib
import http.client
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

PORT = 5000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(control, SIOCGIFFLAGS, asked))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def is_alone() -> bool:
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def ask(method: str, path: str, body: bytes = b"", *, secret: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    headers = {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"} if secret else {}
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_ready() -> bool:
    try:
        return ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def push_and_pull(secret: str) -> None:
    layer = b"a layer of a machine without a network" * 1000
    blobs = [b"{}", layer]
    digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs]
    for blob, digest in zip(blobs, digests, strict=True):
        assert ask("POST", f"/v2/alone/it/blobs/uploads/?digest={digest}", blob, secret=secret)[0] == 201
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    parts = [
        {"mediaType": kind, "digest": digest, "size": len(blob)}
        for kind, digest, blob in zip(kinds, digests, blobs, strict=True)
    ]
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": parts[0], "layers": parts[1:],
    }  # fmt: skip
    text = json.dumps(manifest).encode()
    assert ask("PUT", "/v2/alone/it/manifests/latest", text, secret=secret)[0] == 201
    assert ask("GET", "/v2/alone/it/manifests/latest", secret=secret) == (200, text)
    assert ask("GET", f"/v2/alone/it/blobs/{digests[1]}", secret=secret) == (200, layer)


def main(bundle: str, prefix: str, directory: str, python: str) -> None:
    assert is_alone(), "there is a network"
    raise_loopback()
    subprocess.run([f"{bundle}/install", "--prefix", prefix, "--python", python], check=True)
    command = [f"{prefix}/bin/longshore", "serve", "--port", str(PORT), "--data", f"{directory}/data"]
    environment = {"PATH": "/usr/bin:/bin", "LONGSHORE_REGISTRY__CREATE_ON_PUSH": "true"}
    server = subprocess.Popen(command, cwd=directory, env=environment)
    try:
        deadline = time.monotonic() + 60
        while not is_ready():
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        credentials = configparser.ConfigParser()
        credentials.read(Path(directory) / "data" / "credentials")
        key = credentials["default"]
        push_and_pull(f"{key['aws_access_key_id']}:{key['aws_secret_access_key']}")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    print("served")


if __name__ == "__main__":
    main(*sys.argv[1:])
