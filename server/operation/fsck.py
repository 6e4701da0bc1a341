"""`longshore fsck`: whether a registry is whole."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auth.audit.record import stamp
from base.ids import new_uuid
from base.rate import Rate
from config.settings import Settings
from registry.fsck.finding import Finding, Kind
from registry.fsck.inspection import Inspection, State
from registry.owner import check_owner
from server.progress import Display, bytes_of
from server.stores import existing_database, open_blobs
from store.database import Sealed
from store.seals import Heeding, list_seals

CLEAN, FINDINGS, COULD_NOT_RUN = 0, 1, 2
_PROGRESS = "fsck.progress"
_SAVED_EVERY = 2.0
"""Seconds of work that an interruption may cost."""


def add_command(commands: Any, common: argparse.ArgumentParser) -> None:
    """The command and its options."""
    kinds = "\n".join(f"  {kind.word:18}{kind.value[1]}" for kind in Kind)
    parser = commands.add_parser(
        "fsck",
        parents=[common],
        description="Inspects a registry, while it serves: whether every blob has its bytes, every image what it names, "
        "and every row its counterpart. Interrupted, it goes on where it stopped. Exit code 0: all is well; 1: there are "
        f"findings; 2: it could not run.\n\nfindings:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repair", action="store_true", help="mend what can be mended, and say what was done")
    parser.add_argument(
        "--store-is-lost", action="store_true", help="with --repair: even where the store has none of the blobs"
    )
    parser.add_argument("--quick", action="store_true", help="compare sizes alone: do not read the bytes of blobs")
    parser.add_argument(
        "--rate", type=_rate, default=0.0, metavar="MB/S", help="read so many megabytes a second at the most"
    )
    parser.add_argument("--restart", action="store_true", help="begin anew instead of going on where it stopped")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: one object a line")
    parser.set_defaults(run=_fsck, failure=COULD_NOT_RUN)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e9:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of megabytes a second")
    return rate * 1e6


def _fsck(settings: Settings, options: argparse.Namespace) -> int:
    show = _show_json if options.format == "json" else _show_text
    state = asyncio.run(_run(settings, options, show))
    (_sum_json if options.format == "json" else _sum_text)(state)
    return FINDINGS if state.findings else CLEAN


async def _run(settings: Settings, options: argparse.Namespace, show: Callable[[Finding], None]) -> State:
    path = settings.data / _PROGRESS
    state = None if options.restart else _load(path)
    if state is not None:
        print(f"going on with the inspection of {stamp(state.began)}", file=sys.stderr)
        for finding in state.findings:
            show(finding)
    async with existing_database(settings) as database:
        if options.repair:
            for seal in await list_seals(database):
                raise Sealed(seal.reason)
        blobs = open_blobs(settings, ids=new_uuid, clock=time.time)
        saving = _Saving(path)
        try:
            await blobs.probe()  # of a store that is not the registry's all bytes would be missing
            await check_owner(database, blobs)
            with Display() as display:

                def found(finding: Finding) -> None:
                    display.clear()
                    show(finding)

                inspection = Inspection(
                    Heeding(database),
                    blobs,
                    state or State(time.time()),
                    clock=time.time,
                    mend=options.repair,
                    read_bytes=not options.quick,
                    allow_sparse=settings.registry.allow_sparse,
                    rate=Rate(options.rate),
                    found=found,
                    save=saving,
                    tell=display,
                )
                if options.repair and not options.store_is_lost:
                    await inspection.require_store()
                try:
                    done = await inspection.run()
                except BaseException:
                    saving.write(inspection.state)
                    raise
        finally:
            await blobs.close()
    path.unlink(missing_ok=True)
    return done


class _Saving:
    """Writes the state down every now and then, wholly or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written_at = time.monotonic()

    def __call__(self, state: State) -> None:
        if time.monotonic() - self._written_at >= _SAVED_EVERY:
            self.write(state)

    def write(self, state: State) -> None:
        fresh = self._path.with_name(f".{self._path.name}.new")
        fresh.write_text(state.write())
        os.replace(fresh, self._path)
        self._written_at = time.monotonic()


def _load(path: Path) -> State | None:
    try:
        return State.read(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # it is of another release: begin anew
        return None


def _show_text(finding: Finding) -> None:
    done = f" [mended: {finding.kind.value[2]}]" if finding.mended else ""
    print(f"{finding.kind.word}: {finding.where}: {finding.what}{done}")
    for image in finding.images:
        print(f"    {image}")


def _show_json(finding: Finding) -> None:
    print(json.dumps(finding.as_json()))


def _sum_text(state: State) -> None:
    counts = state.counts
    read = f", {bytes_of(counts['bytes'])} read" if counts.get("bytes") else ""
    print(f"inspected {counts.get('blobs', 0)} blobs{read}, {counts.get('images', 0)} images")
    if counts.get("orphans"):
        print(
            f"{counts['orphans']} things in the store belong to nothing: the collector frees them (`longshore gc --orphans`)"
        )
    if not state.findings:
        print("all is well")
        return
    mended = sum(finding.mended for finding in state.findings)
    print(f"{len(state.findings)} findings, {mended} of them mended")


def _sum_json(state: State) -> None:
    mended = sum(finding.mended for finding in state.findings)
    print(json.dumps({"findings": len(state.findings), "mended": mended, **state.counts}))
