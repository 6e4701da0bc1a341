"""`longshore audit`: the decisions on record, beside a running server."""

import argparse
import asyncio
import json
import sys
import time
from typing import Any

from auth.audit.record import Record, as_json, stamp
from auth.audit.trail import Query, Trail
from config.settings import Settings
from server.printing import quiet_pipe
from server.stores import existing_database
from server.times import parse_time

_LIMIT = 100


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "audit",
        parents=[common],
        description="Shows decisions on record, the latest first: who asked for what, what was answered and why.",
    )
    add_filters(parser)
    parser.add_argument("--decision", choices=("allowed", "denied"), help="with this answer alone")
    parser.add_argument("--request-id", default="", metavar="ID", help="of one request")
    parser.add_argument(
        "--limit", type=int, default=_LIMIT, metavar="N", help=f"at the most so many; 0: all (default: {_LIMIT})"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: one object a line")
    parser.set_defaults(run=_show)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Options that `longshore policy replay` shares."""

    def when(text: str) -> float:
        return parse_time(text, clock=time.time)

    parser.add_argument(
        "--since", type=when, default=0.0, metavar="T", help="not before: 15m, 1h, 2d (ago), or ISO 8601"
    )
    parser.add_argument("--until", type=when, default=float("inf"), metavar="T", help="before")
    parser.add_argument("--principal", default="", metavar="WHO", help="an ARN or a name; * and ? as in policies")
    parser.add_argument("--action", default="", metavar="ACTION", help="such as ecr:PutImage or ecr:*")
    parser.add_argument("--resource", default="", metavar="WHAT", help="an ARN or a repository's name; * and ?")


def query_of(options: argparse.Namespace) -> Query:
    """What `add_filters` was told."""
    decision = getattr(options, "decision", None)
    return Query(
        since=options.since,
        until=options.until,
        principal=options.principal,
        action=options.action,
        resource=options.resource,
        allowed=None if decision is None else decision == "allowed",
        request_id=getattr(options, "request_id", ""),
    )


def _show(settings: Settings, options: argparse.Namespace) -> int:
    render = _as_text if options.format == "text" else _as_line

    async def run() -> None:
        shown = 0
        async with existing_database(settings) as database:
            async for record in Trail(database).read(query_of(options)):
                print(render(record))
                shown += 1
                if shown == options.limit:
                    break
        if not shown and options.format == "text":
            print("longshore: no decision on record is like that", file=sys.stderr)

    with quiet_pipe():
        asyncio.run(run())
    return 0


def _as_line(record: Record) -> str:
    return json.dumps(as_json(record))


def _as_text(record: Record) -> str:
    case = record.case
    decided = ", ".join(f"{one.policy}#{one.sid or one.number + 1}" for one in case.statements)
    return " ".join(
        part
        for part in (
            stamp(record.at),
            "allowed" if case.allowed else "denied ",
            case.principal.arn,
            case.action,
            case.resource,
            f"from {case.source_ip}" if case.source_ip else "",
            f"({case.reason.value}{': ' + decided if decided else ''})",
            record.request_id,
        )
        if part
    )
