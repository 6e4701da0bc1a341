"""`longshore policy test`: tables of cases, held against policies."""

import argparse
import asyncio
import json
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from auth.policy.document import Kind, Policy
from auth.policy.explain import Explanation
from auth.rehearsal.results import Coverage, Covered, Result, judge
from auth.rehearsal.scene import bare, rehearse
from auth.rehearsal.suite import Case, PolicyUnreadable, Suite, label, read_suite
from auth.rehearsal.who import principal_of
from auth.rehearsal.written import Refused
from config.settings import Settings
from server.policy import junit
from server.policy.files import Unusable, read_policy, read_text
from server.policy.shown import as_json, word
from server.policy.tables import parse_table
from server.printing import quiet_pipe
from store.database import DatabaseUnavailable

if TYPE_CHECKING:
    from server.policy.live import Live

PASSED, FAILED, UNUSABLE = 0, 1, 2
"""Exit codes: everything as expected; something not, or too little of the policies exercised; it could not be tried."""
_MISSED: Final = 20
"""Statements that nothing exercised, listed of one policy."""
_DESCRIPTION = """\
Holds tables of cases against policies: who may what, and who may not, and why. Shows what was not as expected with its
explanation, and which statements of the policies no case exercised.
"""
_EXAMPLES = """\
  longshore policy test policies/*.yaml
  longshore policy test cases.yaml --junit report.xml --fail-under 100
  longshore policy test cases.yaml --live --data /var/lib/longshore

docs/policies.md describes the file. The exit code is 0 where everything is as expected, 1 where something is not or fewer
statements than --fail-under percent were exercised, 2 where a file cannot be used.
"""


def add_command(subcommands: Any, common: argparse.ArgumentParser) -> None:
    """The subcommand and its options."""
    parser = subcommands.add_parser(
        "test",
        parents=[common],
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="CASES", help="a table of cases: YAML, or JSON by its name")
    parser.add_argument(
        "--live", action="store_true", help="beside what a server has stored, as `live: true` in a table"
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="show the cases that passed, too")
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit XML report")
    parser.add_argument(
        "--fail-under",
        type=_percent,
        default=0.0,
        metavar="PERCENT",
        help="of the statements must be exercised (default: 0)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to tell (default: text)")
    parser.set_defaults(run=_test)


def _percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 100.0:
        raise argparse.ArgumentTypeError(f"`{text}` is no percentage from 0 to 100")
    return number


@dataclass(frozen=True, slots=True)
class Table:
    """A file, read."""

    file: str
    suite: Suite

    def label(self, result: Result) -> str:
        return label(result.case, self.suite.region, self.suite.account)


def _test(settings: Settings, options: argparse.Namespace) -> int:
    try:
        tables = _read_all(settings, options)
        results = asyncio.run(_run(settings, tables))
        coverage = _coverage(tables, results)
        if options.junit:
            _write_report(tables, results, options.junit)
    except (Unusable, DatabaseUnavailable) as error:
        print(f"longshore: {error}", file=sys.stderr)
        return UNUSABLE
    failed = sum(not one.passed for several in results.values() for one in several)
    short = coverage.percent < options.fail_under
    with quiet_pipe():
        if options.format == "json":
            print(json.dumps(_as_json(tables, results, coverage), indent=2))
        else:
            for line in _lines(tables, results, coverage, options):
                print(line)
    return FAILED if failed or short else PASSED


# -- reading


def _read_all(settings: Settings, options: argparse.Namespace) -> list[Table]:
    """Raises Unusable."""
    loaded = cache(read_policy)
    tables = []
    for file in dict.fromkeys(options.files):
        try:
            suite = read_suite(
                parse_table(read_text(file), file),
                _loader(Path(file).parent, loaded),
                account=settings.account.id,
                region=settings.account.region,
                live=options.live,
            )
        except Refused as error:
            raise Unusable(f"{file}:{error.line}:{error.column}: {error.message}") from error
        tables.append(Table(file, suite))
    return tables


def _loader(directory: Path, loaded: Callable[[str, Kind], Policy]) -> Callable[[str, Kind], Policy]:
    """Files lie beside the table that names them."""

    def load(file: str, kind: Kind) -> Policy:
        try:
            return loaded(file if file.startswith("arn:") else str(directory / file), kind)
        except Unusable as error:
            raise PolicyUnreadable(str(error)) from error

    return load


# -- deciding


async def _run(settings: Settings, tables: Sequence[Table]) -> dict[str, list[Result]]:
    """Raises Unusable, DatabaseUnavailable."""
    now = time.time()
    async with _store(settings, needed=any(table.suite.live for table in tables)) as live:
        return {
            table.file: [judge(case, await _decide(settings, table, case, live, now)) for case in table.suite.cases]
            for table in tables
        }


async def _decide(settings: Settings, table: Table, case: Case, live: "Live | None", now: float) -> Explanation:
    suite = table.suite
    at = now if case.at is None else case.at
    if suite.live and live is not None:
        try:
            principal = await live.principal(case.who, at=at)
        except Unusable as error:
            raise Unusable(f"{table.file}:{case.line}:{case.column}: {error}") from error
        scene = await live.scene(principal, case.access, at=at)
    else:
        principal = principal_of(case.who, at=at)
        scene = bare(principal, case.access, at=at, region=suite.region, anonymous=settings.auth.anonymous_pull)
    return rehearse(*scene, suite.given(case))


@asynccontextmanager
async def _store(settings: Settings, *, needed: bool) -> "AsyncIterator[Live | None]":
    if not needed:
        yield None
        return
    from server.policy.live import open_live  # noqa: PLC0415 - the store, which files alone do without

    async with open_live(settings) as live:
        yield live


def _coverage(tables: Sequence[Table], results: Mapping[str, Sequence[Result]]) -> Coverage:
    coverage = Coverage(policy for table in tables for policy in table.suite.policies)
    for several in results.values():
        for result in several:
            coverage.add(result.explanation)
    return coverage


# -- telling


def _lines(
    tables: Sequence[Table],
    results: Mapping[str, Sequence[Result]],
    coverage: Coverage,
    options: argparse.Namespace,
) -> Iterator[str]:
    for table in tables:
        for result in results[table.file]:
            if not result.passed:
                yield f"FAILED {table.file}:{result.case.line} {table.label(result)}"
                yield f"  {result.problem}"
                yield textwrap.indent(result.explanation.text().rstrip("\n"), "    ")
                yield ""
            elif options.verbose:
                yield f"passed {table.file}:{result.case.line} {table.label(result)}: {word(result.explanation)}"
    yield from _coverage_lines(coverage, options.fail_under)
    failed = sum(not one.passed for several in results.values() for one in several)
    passed = sum(len(several) for several in results.values()) - failed
    yield f"{passed} passed, {failed} failed"


def _coverage_lines(coverage: Coverage, least: float) -> Iterator[str]:
    if not coverage.statements:
        return
    for covered in coverage.policies:
        yield f"{_name(covered)}: {_fraction(len(covered.exercised), covered.statements, covered.percent)}"
        for statement in covered.missed[:_MISSED]:
            named = f" {statement.sid}" if statement.sid else ""
            yield f"  no case exercises statement {statement.number + 1}{named} (line {statement.start.line})"
        if len(covered.missed) > _MISSED:
            yield f"  nor {len(covered.missed) - _MISSED} more"
    told = _fraction(coverage.exercised, coverage.statements, coverage.percent)
    wanted = f", fewer than {least:g}%" if coverage.percent < least else ""
    yield f"coverage: {told}{wanted}"


def _fraction(part: int, whole: int, percent: float) -> str:
    return f"{part} of {whole} statement{'' if whole == 1 else 's'} exercised ({int(percent)}%)"


def _name(covered: Covered) -> str:
    policy = covered.policy
    return f"{policy.arn or policy.name} ({policy.kind.value})"


def _as_json(tables: Sequence[Table], results: Mapping[str, Sequence[Result]], coverage: Coverage) -> dict[str, Any]:
    return {
        "cases": [
            {
                "file": table.file,
                "line": result.case.line,
                "name": table.label(result),
                "expect": result.case.expect,
                "passed": result.passed,
                "problem": result.problem,
                **as_json(result.explanation),
            }
            for table in tables
            for result in results[table.file]
        ],
        "coverage": {
            "statements": coverage.statements,
            "exercised": coverage.exercised,
            "percent": coverage.percent,
            "policies": [
                {
                    "policy": one.policy.arn or one.policy.name,
                    "kind": one.policy.kind.value,
                    "statements": one.statements,
                    "exercised": len(one.exercised),
                    "percent": one.percent,
                    "missed": [
                        {"number": missed.number + 1, "sid": missed.sid, "line": missed.start.line}
                        for missed in one.missed
                    ],
                }
                for one in coverage.policies
            ],
        },
    }


def _write_report(tables: Sequence[Table], results: Mapping[str, Sequence[Result]], file: str) -> None:
    labels = {table.file: table.label for table in tables}
    try:
        Path(file).write_bytes(junit.report(results, labels))
    except OSError as error:
        raise Unusable(f"`{file}` cannot be written: {error.strerror or error}") from error
