"""`longshore gc`: a round of the collector now, or what one would do, beside a running server or without one."""

import argparse
import asyncio
import json
import sys
import time
from contextlib import aclosing
from typing import Any

from base.ids import new_uuid
from base.progress import Progress
from config.settings import Settings
from registry.garbage import Amount, Garbage
from registry.gc import Collected
from registry.rounds import Rounds
from registry.rows.collections import Kind
from registry.survey import Finding, Report
from server.collection import make_rounds, make_survey
from server.progress import Display, bytes_of
from server.stores import existing_database, open_blobs
from store.blobs.driver import StoreUnavailable
from store.leases import LeaseLost, is_pinned
from store.seals import Heeding

_SHARE = 0.5
"""The part of the time that the command takes; requests have the other."""
_READERS = 1.0
"""Seconds that are waited beyond gc.settle."""
_WHY = {
    Garbage.UPLOAD: "uploads that were cancelled, or untouched for too long",
    Garbage.DUPLICATE: "blobs that came although they were there",
    Garbage.UNREFERENCED: "blobs that no image needs, their grace over",
    Garbage.DELETED: "blobs that were deleted",
    Garbage.REPOSITORY: "blobs of repositories that were deleted",
    Garbage.LOST: "blobs that an inspection found to be damaged",
    Garbage.ORPHAN: "bytes that no row knows, left by a crash mostly",
    Garbage.OTHER: "given up by an earlier release",
}
_TITLES = {kind: kind.value or "other" for kind in _WHY}


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    parser = commands.add_parser(
        "gc",
        parents=[common],
        description="The server does this by itself, all the time. The command takes the work over from it and does a "
        "round at once. Bytes go gc.settle seconds after the rows that named them, in the next round.",
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing: say what would go, and why")
    parser.add_argument(
        "--orphans", action="store_true", help="also look through the whole store for bytes that nothing knows"
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for gc.settle seconds, and free what this round gave up, too"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how the result is printed")
    parser.set_defaults(run=lambda settings, options: asyncio.run(_collect(settings, options)))


async def _collect(settings: Settings, options: argparse.Namespace) -> int:
    try:
        await (_look if options.dry_run else _free)(settings, options)
    except LeaseLost:
        print("longshore: another `longshore gc` has taken the work over", file=sys.stderr)
        return 1
    except (StoreUnavailable, OSError) as error:
        print(f"longshore: not everything could be freed, the next round tries again: {error}", file=sys.stderr)
        return 1
    return 0


async def _free(settings: Settings, options: argparse.Namespace) -> None:
    total: dict[Kind, Collected] = {}
    async with existing_database(settings) as database:
        blobs = open_blobs(settings, ids=new_uuid, clock=time.time)
        try:
            rounds = make_rounds(
                settings, Heeding(database), blobs, clock=time.time, share=_SHARE, report=lambda _kind, _done: None
            )
            with Display() as display:
                await _run(rounds, ("round", "search") if options.orphans else ("round",), total, display)
                if options.wait:
                    await _wait_and_free(rounds, settings.gc.settle + _READERS, total, display)
            pinned = await is_pinned(database, time.time())
        finally:
            await blobs.close()
    _print_done(settings, options, total)
    if pinned:
        print("longshore: a backup or a move is under way: bytes go once it is through", file=sys.stderr)


async def _wait_and_free(rounds: Rounds, seconds: float, total: dict[Kind, Collected], display: Display) -> None:
    """Free what the first round gave up, too; nobody else does it in between."""
    first = total["round"]
    display(Progress("waiting for readers of what was given up"))
    async with aclosing(rounds.wait(seconds)) as rests:
        async for rest in rests:
            await asyncio.sleep(rest)
    await _run(rounds, ("round",), total, display)
    first.reclaimed.add_all(total["round"].reclaimed.amounts)
    total["round"] = first


async def _run(rounds: Rounds, kinds: tuple[Kind, ...], total: dict[Kind, Collected], display: Display) -> None:
    async with aclosing(rounds.run(kinds)) as steps:
        async for kind, done, rest in steps:
            total[kind] = done
            rows = done.uploads + done.purged + done.referrers + done.unlinked
            freed = done.reclaimed.total
            if freed.items:
                display(Progress("things freed", freed.items, bytes=freed.bytes))
            else:
                display(Progress(f"{kind}: rows taken away", rows))
            await asyncio.sleep(rest)


async def _look(settings: Settings, options: argparse.Namespace) -> None:
    report = Report()
    async with existing_database(settings) as database:
        blobs = open_blobs(settings, ids=new_uuid, clock=time.time)
        try:
            survey = make_survey(settings, database, blobs, clock=time.time)
            with Display() as display:
                async for _ in survey.look(report, orphans=options.orphans):
                    display(Progress("found to take away", report.items, bytes=report.total.bytes))
        finally:
            await blobs.close()
    if options.format == "json":
        print(json.dumps(_report_as_json(report), indent=2))
    else:
        _print_report(report)


def _print_done(settings: Settings, options: argparse.Namespace, total: dict[Kind, Collected]) -> None:
    done = total["round"]
    freed = {kind: Amount() for kind in _WHY}
    for one in total.values():
        for kind, amount in one.reclaimed.amounts.items():
            freed[kind] += amount
    if options.format == "json":
        rows = {name: getattr(done, name) for name in ("uploads", "purged", "referrers", "unlinked")}
        amounts = {_TITLES[kind]: {"items": one.items, "bytes": one.bytes} for kind, one in freed.items() if one.items}
        print(json.dumps({"rows": rows, "freed": amounts}, indent=2))
        return
    everything = sum(freed.values(), Amount())
    print(
        f"{done.uploads:,} uploads given up, {done.unlinked:,} blobs out of their grace, {done.purged:,} rows of deleted "
        f"repositories and {done.referrers:,} of lone referrers taken away"
    )
    print(f"freed: {everything.items:,} things, {bytes_of(everything.bytes)}")
    for kind, amount in freed.items():
        if amount.items:
            print(f"  {amount.items:>10,} {bytes_of(amount.bytes):>12}  {_WHY[kind]}")
    if not options.wait and (done.uploads or done.unlinked or done.purged):
        print(
            f"what was given up just now is freed after {settings.gc.settle:g} s, by the server or the next `longshore gc`"
        )


def _report_as_json(report: Report) -> dict[str, Any]:
    def show(finding: Finding) -> dict[str, Any]:
        return {"items": finding.amount.items, "bytes": finding.amount.bytes, "examples": finding.examples}

    return {
        "garbage": [
            {"reason": _TITLES[kind], "why": why, **show(report.garbage[kind])}
            for kind, why in _WHY.items()
            if kind in report.garbage
        ],
        "manifests": show(report.manifests),
        "referrers": show(report.referrers),
        "waiting": show(report.waiting),
    }


def _print_report(report: Report) -> None:
    found = [(why, report.garbage[kind]) for kind, why in _WHY.items() if kind in report.garbage]
    found += [
        ("images of repositories that were deleted", report.manifests),
        ("images about others that were deleted", report.referrers),
    ]
    found = [(why, finding) for why, finding in found if finding.amount.items]
    if not found:
        print("nothing would go")
    for why, finding in found:
        _print_finding(why, finding)
    if found:
        total = report.total
        print(f"{total.items:,} things in the store, {bytes_of(total.bytes)}, would go")
    if report.waiting.amount.items:
        print()
        _print_finding("not yet: blobs that no image needs, in their grace", report.waiting)


def _print_finding(why: str, finding: Finding) -> None:
    print(f"{finding.amount.items:>10,} {bytes_of(finding.amount.bytes):>12}  {why}")
    for example in finding.examples:
        print(f"{'':>25}{example}")
    if finding.amount.items > len(finding.examples):
        print(f"{'':>25}...")
