"""`longshore policy lint`: what is wrong with policies, or not as it looks."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from auth.authorize import KEYS
from auth.lint.linter import Report, lint, without
from auth.lint.reading import guess_kind
from auth.lint.rules import RULES, Level
from config.settings import Settings
from server.policy import sarif
from server.policy.files import KINDS, NAMES, Unusable, read_text
from server.printing import quiet_pipe

CLEAN, FOUND, UNUSABLE = 0, 1, 2
"""Exit codes: nothing as bad as --fail-on; something; a file could not be read."""
_LEVELS: Final = {level.word: level for level in Level}
_DESCRIPTION = """\
Says what is wrong with policy documents: what the service would refuse, what has no effect, and what reaches further than
it looks. One line a finding: FILE:LINE:COLUMN LEVEL RULE MESSAGE.
"""
_EXAMPLES = """\
  longshore policy lint push.json
  longshore policy lint --kind scp --fail-on error guardrail.json
  longshore policy lint --ignore no-login --ignore every-resource@Admin *.json
  longshore policy lint --format sarif policies/*.json > lint.sarif

FILE may be - for the standard input. The exit code is 0 where nothing as bad as --fail-on was found, 1 where something was,
2 where a file cannot be read. docs/policies.md lists the rules; so does --rules.
"""


@dataclass(frozen=True, slots=True)
class Linted:
    """A file and what was found in it."""

    file: str
    report: Report


def add_command(subcommands: Any, common: argparse.ArgumentParser) -> None:
    """The subcommand and its options."""
    parser = subcommands.add_parser(
        "lint",
        parents=[common],
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="a policy document (JSON)")
    parser.add_argument(
        "--kind",
        choices=tuple(KINDS),
        help="what the documents are (default: guessed; who names principals is a resource's)",
    )
    parser.add_argument(
        "--format", choices=("text", "json", "sarif"), default="text", help="how to tell (default: text)"
    )
    parser.add_argument(
        "--fail-on", choices=tuple(_LEVELS), default="warning", help="the least level that counts (default: warning)"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], type=_ignored, metavar="RULE[@SID]",
        help="leave out a rule, or leave it out in the statement of that Sid; may be given several times",
    )  # fmt: skip
    parser.add_argument("--rules", action="store_true", help="list the rules and end")
    parser.set_defaults(run=_lint)


def _ignored(text: str) -> str:
    if text.partition("@")[0] not in RULES:
        raise argparse.ArgumentTypeError(f"`{text}` names no rule; --rules lists them")
    return text


def _lint(settings: Settings, options: argparse.Namespace) -> int:  # noqa: ARG001 - commands are called alike
    with quiet_pipe():
        if options.rules:
            for rule in RULES.values():
                print(f"{rule.id:28} {rule.level.word:8} {rule.meaning}")
            return CLEAN
        if not options.files:
            print("longshore: say which files: longshore policy lint FILE...", file=sys.stderr)
            return UNUSABLE
        linted, refused = _read_all(options)
        _print(linted, refused, options.format)
    if refused:
        return UNUSABLE
    least = _LEVELS[options.fail_on]
    return FOUND if any((one.report.worst or 0) >= least for one in linted) else CLEAN


def _read_all(options: argparse.Namespace) -> tuple[list[Linted], list[str]]:
    linted, refused = [], []
    for file in dict.fromkeys(options.files):
        try:
            text = read_text(file)
        except Unusable as error:
            refused.append(str(error))
            continue
        kind = KINDS[options.kind] if options.kind else guess_kind(text)
        report = without(lint(text, kind, now=time.time(), given=KEYS), options.ignore)
        linted.append(Linted(file, report))
    return linted, refused


def _print(linted: Sequence[Linted], refused: Sequence[str], form: str) -> None:
    if form == "sarif":
        reports = {one.file: one.report for one in linted}
        json.dump(sarif.log(reports, refused, directory=os.getcwd()), sys.stdout, indent=2)
        print()
    elif form == "json":
        json.dump([_as_json(one) for one in linted], sys.stdout, indent=2)
        print()
    else:
        for one in linted:
            for line in _lines(one):
                print(line)
    sys.stdout.flush()
    for message in refused:
        print(f"longshore: {message}", file=sys.stderr)
    if form == "text":
        print(_summary(linted), file=sys.stderr)


def _lines(one: Linted) -> Iterable[str]:
    for finding in one.report.findings:
        place = one.report.place(finding)
        rule = finding.rule
        yield f"{one.file}:{place.line}:{place.column} {rule.level.word} {rule.id} {finding.message}"


def _as_json(one: Linted) -> dict[str, Any]:
    found = []
    for finding in one.report.findings:
        place = one.report.place(finding)
        shown: dict[str, Any] = {
            "rule": finding.rule.id,
            "level": finding.rule.level.word,
            "message": finding.message,
            "line": place.line,
            "column": place.column,
            "end_line": place.end_line,
            "end_column": place.end_column,
        }
        if finding.statement >= 0:
            shown["statement"] = finding.statement + 1
        if finding.sid:
            shown["sid"] = finding.sid
        found.append(shown)
    return {"file": one.file, "kind": NAMES[one.report.document.kind], "findings": found}


def _summary(linted: Sequence[Linted]) -> str:
    counts = dict.fromkeys(sorted(Level, reverse=True), 0)
    for one in linted:
        for finding in one.report.findings:
            counts[finding.rule.level] += 1
    kinds = sorted({NAMES[one.report.document.kind] for one in linted})
    told = ", ".join(f"{count} {level.word}{'' if count == 1 else 's'}" for level, count in counts.items())
    files = f"{len(linted)} file{'' if len(linted) == 1 else 's'}"
    return f"{files} ({', '.join(kinds)}): {told}" if linted else f"{files}: {told}"
