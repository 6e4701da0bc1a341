"""`longshore policy replay`: which requests of the past other policies would have answered otherwise."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from auth.audit.record import Record, as_json, stamp
from auth.audit.replay import Change, Exchange, Outcome, Put, Replay, Target
from auth.audit.trail import Trail
from auth.policy.document import Policy, PolicyMalformed, parse_policy
from config.settings import Settings
from server.audit import add_filters, query_of
from server.policy.targets import FORMS, parse_target
from server.printing import quiet_pipe
from server.stores import existing_database
from store.database import DatabaseUnavailable

SAME, OTHER, FAILED = 0, 1, 2
"""Exit codes: no answer would change; some would, or it cannot be told; it could not be tried."""

_DESCRIPTION = """\
Makes the decisions on record again, with other policies, and lists each whose answer would change. Everything but the
policies is as it was then: who asked, from where, with which tags, at what time.
"""
_EXAMPLES = f"""\
TARGET is one of: {FORMS}.
Names may hold * and ?.

  longshore policy replay --since 7d --policy deny-delete.json --for user/ci
  longshore policy replay --since 7d --policy pull.json --for repository/team-a/app
  longshore policy replay --since 7d --replace team-a=team-a-v2.json

The exit code is 0 where no answer would change, 1 where one would or it cannot be told, 2 where it cannot be tried.
"""


class ReplayRefused(Exception):
    """It cannot be tried as it was asked for."""


def add_command(subcommands: Any, common: argparse.ArgumentParser) -> None:
    """The subcommand and its options."""
    parser = subcommands.add_parser(
        "replay",
        parents=[common],
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_filters(parser)
    parser.add_argument("--policy", metavar="FILE", help="a policy, put on what --for names")
    parser.add_argument(
        "--for",
        dest="targets",
        action="append",
        type=parse_target,
        metavar="TARGET",
        help="may be given several times (default: everyone, each user and role)",
    )
    parser.add_argument("--add", action="append", default=[], metavar="TARGET=FILE", help="--policy and --for in one")
    parser.add_argument(
        "--replace", action="append", default=[], metavar="POLICY=FILE", help="a name or an ARN: its new text"
    )
    parser.add_argument("--remove", action="append", default=[], metavar="POLICY", help="a name or an ARN")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: one object a line")
    parser.set_defaults(run=_replay)


@dataclass(slots=True)
class Summary:
    """Counts of decisions."""

    decisions: int = 0
    concerned: int = 0
    allowed_to_denied: int = 0
    denied_to_allowed: int = 0
    undecidable: int = 0

    @property
    def code(self) -> int:
        return OTHER if self.allowed_to_denied or self.denied_to_allowed or self.undecidable else SAME


def _replay(settings: Settings, options: argparse.Namespace) -> int:
    render = _as_text if options.format == "text" else _as_line
    with quiet_pipe():
        try:
            changes = _changes(options)
            summary = asyncio.run(_try(settings, options, changes, lambda *found: print(render(*found))))
        except (ReplayRefused, DatabaseUnavailable) as error:
            print(f"longshore: {error}", file=sys.stderr)
            return FAILED
        except PolicyMalformed as error:
            print(f"longshore: a policy cannot take that place: {_shown(error)}", file=sys.stderr)
            return FAILED
        print(_summary_text(summary) if options.format == "text" else json.dumps({"summary": asdict(summary)}))
    return summary.code


async def _try(
    settings: Settings, options: argparse.Namespace, changes: list[Change], show: Callable[[Record, Outcome], None]
) -> Summary:
    summary = Summary()
    texts: dict[str, str] = {}
    replay = Replay(changes, texts.get)
    async with existing_database(settings) as database:
        trail = Trail(database)
        async for record in trail.read(query_of(options)):
            summary.decisions += 1
            lacking = record.case.policies.digests - texts.keys()
            if lacking:
                texts.update(await trail.documents(lacking))
            outcome = replay.outcome(record)
            if outcome is None:
                continue
            summary.concerned += 1
            if outcome.verdict is None:
                summary.undecidable += 1
            elif not outcome.changes(record.case):
                continue
            elif outcome.verdict.allowed:
                summary.denied_to_allowed += 1
            else:
                summary.allowed_to_denied += 1
            show(record, outcome)
    if not summary.concerned:
        raise ReplayRefused(
            f"of {summary.decisions} decisions on record in that range none has to do with that change: "
            "is the name right, is the range long enough? (root has no identity-based policies)"
        )
    return summary


def _changes(options: argparse.Namespace) -> list[Change]:
    changes: list[Change] = []
    if options.policy is not None:
        try:
            changes += (_put(target, options.policy) for target in options.targets or [parse_target("everyone")])
        except ReplayRefused as error:
            raise (
                error if options.targets else ReplayRefused(f"{error}; --for TARGET says what it is put on")
            ) from error
    elif options.targets:
        raise ReplayRefused("--for goes with --policy FILE")
    for given in options.add:
        target, file = _pair("--add", "TARGET=FILE", given)
        try:
            changes.append(_put(parse_target(target), file))
        except argparse.ArgumentTypeError as error:
            raise ReplayRefused(str(error)) from error
    for given in options.replace:
        named, file = _pair("--replace", "POLICY=FILE", given)
        changes.append(Exchange(named, _read(file)))
    changes += (Exchange(named, None) for named in options.remove)
    if not changes:
        raise ReplayRefused("say what would be different: --policy, --add, --replace or --remove")
    return changes


def _pair(option: str, form: str, given: str) -> tuple[str, str]:
    left, equals, right = given.rpartition("=")
    if not (equals and left and right):
        raise ReplayRefused(f"{option} wants {form}, not `{given}`")
    return left, right


def _put(target: Target, file: str) -> Put:
    return Put(target, _parse(file, target))


def _parse(file: str, target: Target) -> Policy:
    try:
        return parse_policy(_read(file), target.kind, name=Path(file).stem)
    except PolicyMalformed as error:
        raise ReplayRefused(f"`{file}` is no {target.kind.value}: {_shown(error)}") from error


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ReplayRefused(f"`{file}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ReplayRefused(f"`{file}` cannot be read: it is not UTF-8") from error


def _shown(error: PolicyMalformed) -> str:
    where = f" (line {error.line}, column {error.column})" if error.line else ""
    return f"{error.detail or error.message}{where}"


def _as_text(record: Record, outcome: Outcome) -> str:
    case = record.case
    return " ".join(
        (
            stamp(record.at),
            f"{_word(case.allowed)} -> {_would(outcome)}",
            case.principal.arn,
            case.action,
            case.resource,
            f"from {case.source_ip}" if case.source_ip else "-",
            f"({_why(outcome)})",
            record.request_id,
        )
    )


def _as_line(record: Record, outcome: Outcome) -> str:
    shown = as_json(record)
    verdict = outcome.verdict
    would: dict[str, Any] = {"decision": _would(outcome), "why": _why(outcome)}
    if verdict is None:
        would["missing"] = list(outcome.missing)
    else:
        would["reason"] = verdict.reason.value
        would["statements"] = [
            {"policy": one.policy, "kind": one.kind.value, "sid": one.sid, "number": one.number}
            for one in verdict.statements
        ]
    return json.dumps({"would": would, **shown})


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "denied"


def _would(outcome: Outcome) -> str:
    return "undecidable" if outcome.verdict is None else _word(outcome.verdict.allowed)


def _why(outcome: Outcome) -> str:
    verdict = outcome.verdict
    if verdict is None:
        if outcome.lost:
            return f"the text of {outcome.lost} is no longer on record"
        return f"the record lacks {', '.join(outcome.missing)}"
    why = verdict.reason.value
    decided = ", ".join(f"{one.policy}#{one.sid or one.number + 1}" for one in verdict.statements)
    if decided:
        why += f": {decided}"
    if outcome.before is verdict.allowed:
        why += "; this release answers so without the change, too"
    return why


def _summary_text(summary: Summary) -> str:
    return (
        f"{summary.decisions} decisions on record, {summary.concerned} concerned: "
        f"{summary.allowed_to_denied} allowed would be denied, {summary.denied_to_allowed} denied would be allowed, "
        f"{summary.undecidable} undecidable"
    )
