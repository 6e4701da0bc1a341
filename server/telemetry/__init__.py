"""Traces: spans of requests, told to a collector by OTLP. Where that is off, nothing below is imported."""

import os
import socket
import time
from random import Random
from typing import TYPE_CHECKING

from config.settings import Settings
from server.logs import Log
from server.metrics import Metrics
from server.process import build

if TYPE_CHECKING:
    from server.telemetry.requests import Telemetry


def open_telemetry(settings: Settings, *, metrics: Metrics, log: Log) -> "Telemetry | None":
    """None where the settings name no endpoint."""
    wanted = settings.telemetry
    if not wanted.endpoint:
        return None
    from server.telemetry.otlp import Exporter, parse_headers  # noqa: PLC0415 - not where it is off
    from server.telemetry.requests import Telemetry  # noqa: PLC0415
    from server.telemetry.spans import Tracer  # noqa: PLC0415

    def tell(wrong: str) -> None:
        if wrong:
            log.event("the collector of traces does not take them", endpoint=wanted.endpoint, reason=wrong)
        else:
            log.event("the collector of traces takes them again", endpoint=wanted.endpoint)

    resource = {
        "service.name": wanted.service_name,
        "service.version": build()[0],
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        "host.name": socket.gethostname(),
    }
    exporter = Exporter(wanted.endpoint, parse_headers(wanted.headers), resource, count=metrics.add, tell=tell)
    tracer = Tracer(wanted.sample_ratio, export=exporter.take, now=time.time_ns, random=Random())  # noqa: S311 - ids of spans
    return Telemetry(tracer, exporter)
