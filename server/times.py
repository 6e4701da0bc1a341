"""Times as people write them on the command line."""

import argparse
import re
from datetime import UTC, datetime, timedelta

from base.clock import Clock

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str, *, clock: Clock) -> float:
    """`90s`, `15m`, `1h`, `2d`, `1w` ago, or ISO 8601 (UTC where it names no zone), as seconds since the epoch.

    Raises argparse.ArgumentTypeError.
    """
    match = _AGO.match(text.strip())
    try:
        if match:
            return clock() - timedelta(**{_UNITS[match[2]]: float(match[1])}).total_seconds()
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"`{text}` is not a time: say 15m, 1h or 2d (ago), or 2026-08-01T12:00:00Z"
        ) from error
