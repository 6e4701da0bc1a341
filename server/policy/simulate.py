"""`longshore policy simulate`: what would be decided, and why, by what a server has stored or by files."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from auth.access import Access, Value
from auth.policy.document import Kind, Policy
from auth.policy.explain import Explanation
from auth.rehearsal.scene import Given, bare, level_of, rehearse
from auth.rehearsal.what import WORDS, WhatUnclear, accesses, check_key, parse_actions, parse_context, parse_resource
from auth.rehearsal.who import FORMS, WhoUnclear, parse_who, principal_of
from config.settings import Settings
from server.policy.files import Unusable, read_policy
from server.policy.shown import as_json
from server.printing import quiet_pipe
from server.times import parse_time
from store.database import DatabaseUnavailable

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
"""Exit codes: all that was asked for would be allowed; something would be denied; it could not be tried."""
_FILES: Final = ("policy", "boundary", "session", "scp", "repository_policy", "registry_policy", "trust")
_SOMEBODY: Final = "user/someone"
_DESCRIPTION = """\
Says what would be decided, and why: every policy that counts, every statement, and what of it matched.

Without files it is about what a server has stored (--data, --config), which may be running. With files it is about these
alone, and whoever asks need not exist; with --live they count beside or instead of what is stored.
"""
_EXAMPLES = f"""\
PRINCIPAL is one of: {FORMS}.
ACTION is one (ecr:PutImage), a pattern (ecr:Get*), or a word for several: {", ".join(WORDS)}.
RESOURCE is an ARN, a repository's name, user/NAME, role/NAME, or *.

  longshore policy simulate --principal user/ci --action push --resource team-a/app
  longshore policy simulate --policy push.json --action push --resource team-a/app --context aws:SourceIp=10.1.2.3
  longshore policy simulate --live --principal user/ci --policy more.json --action ecr:DeleteRepository --resource team-a/app

The exit code is 0 where everything would be allowed, 1 where something would be denied, 2 where it cannot be tried.
"""


def add_command(subcommands: Any, common: argparse.ArgumentParser) -> None:
    """The subcommand and its options."""
    parser = subcommands.add_parser(
        "simulate",
        parents=[common],
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asked = parser.add_argument_group("what is asked")
    asked.add_argument(
        "--principal", metavar="PRINCIPAL", help="who asks (default, where files alone count: some user)"
    )
    asked.add_argument("--action", action="append", required=True, metavar="ACTION", help="may be given several times")
    asked.add_argument(
        "--resource", action="append", metavar="RESOURCE", help="may be given several times (default: *)"
    )
    asked.add_argument(
        "--context", action="append", default=[], metavar="KEY=VALUE[,VALUE]", help="a context key and its value"
    )
    asked.add_argument("--without", action="append", default=[], metavar="KEY", help="a context key that is absent")
    asked.add_argument(
        "--at",
        type=lambda text: parse_time(text, clock=time.time),
        metavar="T",
        help="when: ISO 8601, or 2d ago (default: now)",
    )
    files = parser.add_argument_group("policies from files", "FILE may be - for the standard input")
    files.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="FILE",
        help="an identity-based policy, or the ARN of one of AWS's own",
    )
    files.add_argument("--boundary", metavar="FILE", help="the permissions boundary")
    files.add_argument("--session", action="append", default=[], metavar="FILE", help="a session policy")
    files.add_argument(
        "--scp",
        action="append",
        default=[],
        metavar="FILE",
        help="a service control policy: a level of the organisation each",
    )
    files.add_argument("--repository-policy", metavar="FILE", help="the policy of the repositories")
    files.add_argument("--registry-policy", metavar="FILE", help="the policy of the registry")
    files.add_argument("--trust", metavar="FILE", help="the trust policy of the role that is assumed")
    parser.add_argument("--live", action="store_true", help="with files: beside what is stored")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to tell (default: text)")
    parser.add_argument("--brief", action="store_true", help="one line for each decision")
    parser.set_defaults(run=_simulate)


def _simulate(settings: Settings, options: argparse.Namespace) -> int:
    try:
        explained = asyncio.run(_explain(settings, options))
    except (Unusable, WhoUnclear, WhatUnclear, DatabaseUnavailable) as error:
        print(f"longshore: {error}", file=sys.stderr)
        return UNUSABLE
    with quiet_pipe():
        _print(explained, options)
    return ALLOWED if all(one.verdict.allowed for one in explained) else DENIED


async def _explain(settings: Settings, options: argparse.Namespace) -> list[Explanation]:
    at = time.time() if options.at is None else options.at
    account, region = settings.account.id, settings.account.region
    stored = options.live or options.data or options.config or not any(getattr(options, name) for name in _FILES)
    if stored and not options.principal:
        raise Unusable("say who asks, with --principal; or name policies, with --policy FILE and the like")
    who = parse_who(options.principal or _SOMEBODY, account)
    asked = _asked(options, account, region)
    given = _given(options)
    if not stored:
        principal = principal_of(who, at=at)
        anonymous = settings.auth.anonymous_pull
        return [
            rehearse(*bare(principal, access, at=at, region=region, anonymous=anonymous), given) for access in asked
        ]
    from server.policy.live import open_live  # noqa: PLC0415 - the store, which files alone do without

    async with open_live(settings) as live:
        principal = await live.principal(who, at=at)
        return [rehearse(*await live.scene(principal, access, at=at), given) for access in asked]


def _asked(options: argparse.Namespace, account: str, region: str) -> list[Access]:
    actions = [action for text in options.action for action in parse_actions(text)]
    resources = [parse_resource(text, account=account, region=region) for text in options.resource or ["*"]]
    return accesses(actions, resources)


def _given(options: argparse.Namespace) -> Given:
    context: dict[str, Value | None] = dict(map(parse_context, options.context))
    for key in options.without:
        check_key(key)
        context[key] = None
    return Given(
        identity=tuple(read_policy(file, Kind.IDENTITY) for file in options.policy),
        boundary=_optional(options.boundary, _reader(Kind.BOUNDARY)),
        session=tuple(read_policy(file, Kind.SESSION) for file in options.session) or None,
        controls=tuple(level_of(read_policy(file, Kind.CONTROL)) for file in options.scp) or None,
        repository=_optional(options.repository_policy, _reader(Kind.REPOSITORY)),
        registry=_optional(options.registry_policy, _reader(Kind.REGISTRY)),
        trust=_optional(options.trust, _reader(Kind.TRUST)),
        context=context,
    )


Made = TypeVar("Made")


def _optional(file: str | None, read: Callable[[str], Made]) -> Made | None:
    return None if file is None else read(file)


def _reader(kind: Kind) -> Callable[[str], Policy]:
    return lambda file: read_policy(file, kind)


def _print(explained: Sequence[Explanation], options: argparse.Namespace) -> None:
    if options.format == "json":
        json.dump([as_json(one) for one in explained], sys.stdout, indent=2)
        print()
        return
    if not options.brief:
        print("\n".join(one.text() for one in explained), end="\n" if len(explained) > 1 else "")
    if options.brief or len(explained) > 1:
        for one in explained:
            print(_line(one))


def _line(explanation: Explanation) -> str:
    request = explanation.request
    answer = "ALLOWED" if explanation.verdict.allowed else "DENIED "
    why = "" if explanation.verdict.allowed else f" ({explanation.verdict.reason.value})"
    return f"{answer} {request.action} on {request.resource}{why}"
