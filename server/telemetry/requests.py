"""What a request's span says (OpenTelemetry, "Semantic conventions for HTTP spans"; ours begin with `longshore.`)."""

from auth.authorize import Judgement
from server.telemetry.otlp import Exporter
from server.telemetry.spans import Span, Tracer
from server.visit import CLIENT_GONE, Visit


class Telemetry:
    """Of one process."""

    def __init__(self, tracer: Tracer, exporter: Exporter) -> None:
        self.tracer = tracer
        self.exporter = exporter

    def begin(self, visit: Visit) -> None:
        """A request has come, in the task that answers it."""
        headers = visit.exchange.headers
        visit.span = self.tracer.begin(headers.get("traceparent"), headers.get("tracestate"))

    def end(self, visit: Visit, *, path: str, received: int, sent: int) -> None:
        """It is over. `path` as the log has it."""
        span = visit.span
        if span is not None:
            describe(span, visit, path=path, received=received, sent=sent)
            self.tracer.end(span)

    def note(self, judgement: Judgement) -> None:
        """What was asked of the gate, and what it said; of several decisions of a request the last one."""
        request, allowed = judgement.request, judgement.verdict.allowed
        self.tracer.note(
            {
                "longshore.decision": "allowed" if allowed else "denied",
                "longshore.action": request.action,
                "longshore.resource": request.resource,
            }
        )


def describe(span: Span, visit: Visit, *, path: str, received: int, sent: int) -> None:
    """Put into `span` what is known at the end. `path` as the log has it."""
    exchange, origin = visit.exchange, visit.origin
    attributes = span.attributes
    span.name = f"{exchange.method} {visit.route}"
    attributes["http.request.method"] = exchange.method
    attributes["http.route"] = visit.route
    attributes["http.response.status_code"] = visit.status
    attributes["http.request.body.size"] = received
    attributes["http.response.body.size"] = sent
    attributes["url.path"] = path
    attributes["url.scheme"] = origin.scheme
    attributes["server.address"] = origin.host
    attributes["client.address"] = origin.client
    attributes["user_agent.original"] = exchange.headers.get("User-Agent", "")
    attributes["aws.request_id"] = exchange.request_id
    attributes["longshore.principal"] = visit.principal
    attributes["longshore.principal.kind"] = visit.kind
    if visit.repository:
        attributes["longshore.repository"] = visit.repository
    if visit.reference:
        attributes["longshore.reference"] = visit.reference
    if visit.operation:
        attributes["rpc.system"] = "aws-api"
        attributes["rpc.service"] = visit.route.removeprefix("aws:")
        attributes["rpc.method"] = visit.operation
    if visit.waited:
        attributes["longshore.waited_ms"] = round(visit.waited * 1000, 3)
    if visit.code:
        attributes["error.type"] = visit.code
    elif visit.status >= 500 or visit.status == CLIENT_GONE:
        attributes["error.type"] = str(visit.status)
    span.failed = visit.status >= 500
