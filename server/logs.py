"""Logs: one line an event, for people on a terminal and as JSON elsewhere. Nothing secret is ever handed to them.

Lines are collected and written together a few times a second, so that a line costs microseconds; at a clean stop
nothing is lost.
"""

import asyncio
import json
import logging
import sys
import time
import traceback
from typing import Any, TextIO

_FLUSH_AFTER = 0.1
_FLUSH_LINES = 500
_AGENT = 200
"""Characters of User-Agent in a line, at the most."""


class Log:
    """Where every room's events end up."""

    def __init__(self, style: str, *, access: bool = True, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._json = style == "json" or (style == "auto" and not self._stream.isatty())
        self.access_enabled = access
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._date = ""

    def event(self, text: str, **fields: Any) -> None:
        """Something worth knowing."""
        self._add("info", text, fields)

    def warning(self, text: str, **fields: Any) -> None:
        """Something that somebody should look at."""
        self._add("warning", text, fields)

    def failure(self, text: str, error: BaseException, **fields: Any) -> None:
        """Something that ought not to have happened, with where it did."""
        trace = "".join(traceback.format_exception(error))
        self._add("error", text, {**fields, "error": f"{type(error).__name__}: {error}", "trace": trace})

    def access(
        self,
        *,
        method: str,
        path: str,
        status: int,
        seconds: float,
        received: int,
        sent: int,
        client: str,
        principal: str,
        agent: str,
        request_id: str,
        code: str = "",
        refused: str = "",
        waited: float = 0.0,
        trace_id: str = "",
    ) -> None:
        """One request: `seconds` until the last byte of its answer was handed over, `waited` of them for a limit's turn;
        `received` and `sent` bytes of bodies; the `code` of an AWS error; why credentials were
        `refused`."""
        if not self.access_enabled:
            return
        stamp = self._stamp(time.time())
        agent = agent[:_AGENT]
        if self._json:
            more = f', "code": "{code}"' if code else ""
            if refused:
                more += f', "refused": {_quoted(refused)}'
            if waited:
                more += f', "waited_ms": {waited * 1000:.2f}'
            if trace_id:
                more += f', "trace_id": "{trace_id}"'
            line = (
                f'{{"time": "{stamp}", "level": "info", "event": "request", "method": {_quoted(method)}, '
                f'"path": {_quoted(path)}, "status": {status}, "ms": {seconds * 1000:.2f}, "bytes_in": {received}, '
                f'"bytes_out": {sent}, "client": {_quoted(client)}, "principal": {_quoted(principal)}, '
                f'"user_agent": {_quoted(agent)}, "request_id": "{request_id}"{more}}}'
            )
        else:
            line = (
                f"{stamp} {status} {_printable(method):<6} {_printable(path)} {seconds * 1000:.1f}ms {received}/{sent} "
                f"{_printable(client)} {_printable(principal) or '-'} {request_id}"
            )
            if refused:
                line += f" ({_printable(refused)})"
        self._write(line)

    def flush(self) -> None:
        """Write what was collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            lines, self._lines = self._lines, []
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()

    def _stamp(self, now: float) -> str:
        whole = int(now)
        if whole != self._second:
            self._second = whole
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        return f"{self._date}.{int((now - whole) * 1000):03d}Z"

    def _add(self, level: str, text: str, fields: dict[str, Any]) -> None:
        now = time.time()
        if self._json:
            self._write(json.dumps({"time": self._stamp(now), "level": level, "event": text, **fields}, default=str))
        else:
            trace = fields.pop("trace", "")
            shown = " ".join(f"{key}={_printable(str(value))}" for key, value in fields.items())
            self._write(
                f"{self._stamp(now)} {level:<5} {text} {shown}".rstrip() + (f"\n{trace.rstrip()}" if trace else "")
            )

    def _write(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self.flush)
            except RuntimeError:  # no loop: a command, not the server
                self.flush()


class Forward(logging.Handler):
    """Takes what libraries log (warnings and worse) into a Log, so that it has the same form."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._log.failure(record.getMessage(), error, logger=record.name)
        else:
            self._log.event(record.getMessage(), logger=record.name, severity=record.levelname.lower())


def _quoted(text: str) -> str:
    """A JSON string; most need nothing escaped."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return json.dumps(text)


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
