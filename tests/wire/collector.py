"""What a server sends its traces to."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.wire.client import eventually


@dataclass(frozen=True)
class Span:
    """One, as it came in."""

    document: dict[str, Any]
    resource: dict[str, Any]

    @property
    def attributes(self) -> dict[str, Any]:
        return plain(self.document["attributes"])

    def __getattr__(self, name: str) -> Any:
        return self.document[name]


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """The values of OTLP, without their types."""
    found = {}
    for attribute in attributes:
        ((kind, value),) = attribute["value"].items()
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


class Collector:
    """An OTLP receiver."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces"
                collector.headers.append(dict(self.headers))
                for resource in body["resourceSpans"]:
                    about = plain(resource["resource"]["attributes"])
                    for scope in resource["scopeSpans"]:
                        collector.spans += [Span(span, about) for span in scope["spans"]]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of(self, request_id: str) -> Span:
        """The span of a request."""

        def look() -> Span | None:
            found = [span for span in self.spans if span.attributes.get("aws.request_id") == request_id]
            return found[0] if found else None

        found: Span = eventually(look)
        return found

    def children(self, span: Span) -> list[Span]:
        return [child for child in list(self.spans) if child.document.get("parentSpanId") == span.spanId]
