"""Requests that are prepared here, signed where they have to be, for the load generator to send again and again."""

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.contenders import Running
from bench.generator import Generator, Result
from bench.machine import CannotMeasure
from tests.live import LiveServer

_TARGET = "AmazonEC2ContainerRegistry_V20150921"
"""Of the ECR API's JSON protocol."""


@dataclass(frozen=True, slots=True)
class Request:
    """As the load generator reads it, to be answered by 200. A signature holds for minutes, however often it is sent."""

    method: str
    path: str
    header: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    def fetch(self, server: LiveServer) -> Any:
        """The JSON of the answer. Raises CannotMeasure where there is none."""
        with closing(http.client.HTTPConnection(server.host, server.port, timeout=30)) as connection:
            connection.request(self.method, self.path, self.body or None, dict(self.header))
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != 200:
            raise CannotMeasure(f"{self.method} {self.path} is answered by {answer.status}: {text[:400]!r}")
        return json.loads(text)


def registry_get(access: Running, path: str) -> Request:
    """A GET below /v2/ with a token."""
    pair = base64.b64encode(f"{access.user}:{access.password}".encode()).decode()
    return Request("GET", f"/v2/{path}", {"Authorization": f"Basic {pair}"})


def ecr_call(server: LiveServer, operation: str, parameters: Mapping[str, object]) -> Request:
    """A call of the ECR API, signed by the root key."""
    body = json.dumps(parameters)
    header = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{_TARGET}.{operation}"}
    request = AWSRequest("POST", server.url + "/", headers=header, data=body)
    SigV4Auth(Credentials(server.access_key_id, server.secret_access_key), "ecr", server.region).add_auth(request)
    return Request("POST", "/", dict(request.headers), body)


def play_requests(
    generator: Generator, access: Running, name: str, requests: Sequence[Request], *, operations: int, place: Path
) -> Result:
    """Sends them in turn until there were so many operations. The file that the generator reads is written in `place`."""
    file = place / f"{name}.requests"
    file.write_text("".join(json.dumps(asdict(request)) + "\n" for request in requests))
    (result,) = generator.play(access, [f"replay:{name}={file}"], operations=operations)
    return result
