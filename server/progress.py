"""How far long work has come, on a terminal; elsewhere nothing."""

import sys
import time
from typing import Self, TextIO

from base.progress import Progress

_EVERY = 0.2
"""Seconds between two looks."""
_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")


class Display:
    """One line that changes. A context manager: afterwards the line is gone."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shows = self._stream.isatty()
        self._began = time.monotonic()
        self._step = ""
        self._shown_at = 0.0
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")

    def __call__(self, progress: Progress) -> None:
        """Show it, a few times a second."""
        now = time.monotonic()
        if progress.step != self._step:
            self._step, self._began, self._shown_at = progress.step, now, 0.0
        if self._shows and now - self._shown_at >= _EVERY:
            self._shown_at = now
            self._write(described(progress, now - self._began))

    def clear(self) -> None:
        """Make room for a line of output."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._shows:
            self._stream.write(f"\r{text:{self._width}}")
            if not text:
                self._stream.write("\r")
            self._stream.flush()
            self._width = len(text)


def described(progress: Progress, seconds: float) -> str:
    """`blobs 1,200 of 4,000 (30%), 1.2 GB, 85.0 MB/s`."""
    text = f"{progress.step} {progress.done:,}"
    if progress.total:
        text += f" of {progress.total:,} ({100 * progress.done // progress.total}%)"
    if progress.bytes:
        text += f", {bytes_of(progress.bytes)}"
        if seconds >= 1:
            text += f", {bytes_of(progress.bytes / seconds)}/s"
    return text


def bytes_of(count: float) -> str:
    """`12 bytes`, `3.4 MB`."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
