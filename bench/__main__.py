"""`python -m bench`: Longshore beside its peers on this machine."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from bench.authorization import measure_authorization
from bench.collecting import GARBAGE_BYTES, measure_collecting
from bench.compare import STORE_BYTES, compare, compare_databases
from bench.contenders import Elsewhere, find_peers
from bench.databases import TITLES, Kind
from bench.flat import GROWTHS, measure_flatness
from bench.generator import Generator, build
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure, Machine, cache_directory, check_store, describe
from bench.memory import PUSHES, measure_memory
from bench.scenarios import SCENARIOS, Scenario
from bench.sizing import measure_sizing
from bench.starting import measure_start
from bench.syncs import count_syncs
from bench.tables import render_markdown, render_text

MEASUREMENTS = (
    "compare", "databases", "flat", "start", "collecting", "syncs", "memory", "authorization", "sizing",
)  # fmt: skip
SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
BYTES_A_MANIFEST = 4000
"""Of the database, its log and the indices, generously."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 only where all that was asked for was measured, a comparison with at least one peer."""
    options = _parser().parse_args(arguments)
    chosen = [name for name in MEASUREMENTS if options.all or getattr(options, name, False)] or ["compare"]
    failed = False
    try:
        ground, machine, missing = _prepare(options, chosen)
        for line in missing:
            say(line)
        say(f"{machine.text}; {ground.workers} workers; rounds: {ground.rounds}")
        if not machine.idle:
            say(f"the machine is not idle (load average {machine.load_average:.1f}): the figures will mean little")
        sections: dict[str, Section] = {}
        for name in chosen:
            try:
                sections[name] = _measure(name, ground, options)
            except (CannotMeasure, AssertionError) as error:  # servers for tests report by assertion
                say(f"{name}: {error}")
                failed = True
    except CannotMeasure as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    _print(options, ground, machine, missing, sections)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures Longshore beside other registries on this machine, each alone, in turn, several rounds. "
        "Without one of the first options: the comparison.",
    )
    what = parser.add_argument_group("what is measured")
    what.add_argument("--compare", action="store_true", help="rates of every scenario beside the peers'")
    what.add_argument("--databases", action="store_true", help="rates on PostgreSQL beside those on SQLite")
    what.add_argument("--flat", action="store_true", help="rates with more and more images, and repositories")
    what.add_argument("--start", action="store_true", help="time to ready with 1,000,000 manifests in the store")
    what.add_argument("--collecting", action="store_true", help="rates of pushes while 100,000 blobs are collected")
    what.add_argument("--syncs", action="store_true", help="fsync and fdatasync calls that a push pays")
    what.add_argument("--memory", action="store_true", help="peak memory with eight pushes of 1 GB at once")
    what.add_argument(
        "--authorization", action="store_true", help="time of a decision, and an IAM user's rates beside root's"
    )
    what.add_argument("--sizing", action="store_true", help="memory, rows, connections, requests to the bucket")
    what.add_argument("--all", action="store_true", help="all of these")
    how = parser.add_argument_group("how")
    cores = len(os.sched_getaffinity(0))
    how.add_argument("--workers", type=_number, default=cores, metavar="N", help=f"Longshore's, for all ({cores})")
    how.add_argument("--rounds", type=_number, default=5, metavar="N", help="medians are taken over them (5)")
    how.add_argument("-n", type=_number, dest="operations", metavar="N", help="operations of each scenario, to try it")
    how.add_argument(
        "--scenarios", type=_scenarios, default=list(SCENARIOS), metavar="A,B", help="some of the comparison"
    )
    how.add_argument(
        "--peers", type=lambda text: text.split(","), metavar="A,B", help="some: distribution,debian,nginx"
    )
    how.add_argument(
        "--peer", type=_elsewhere, action="append", default=[], metavar="NAME=URL",
        help="and a registry that you started yourself, without authentication; may be repeated",
    )  # fmt: skip
    how.add_argument("--store", type=Path, metavar="DIR", help="where stores are made, on a disk (the cache directory)")
    how.add_argument("--size", type=_size, default="1g", metavar="SIZE", help="of a blob of --memory (1g)")
    how.add_argument("--pushes", type=_number, default=PUSHES, metavar="N", help=f"at once, of --memory ({PUSHES})")
    how.add_argument("--bucket", action="store_true", help="of --memory: blobs go to S3 (versitygw), not to a disk")
    how.add_argument(
        "--database",
        choices=("sqlite", "postgres", "both"),
        default="both",
        help="of --flat, --start, --collecting (both)",
    )
    how.add_argument("--images", type=_numbers, default=[1000, 100_000, 1_000_000], metavar="N,N", help="of --flat")
    how.add_argument("--repositories", type=_numbers, default=[1000, 10_000, 100_000], metavar="N,N", help="of --flat")
    how.add_argument("--manifests", type=_number, default=1_000_000, metavar="N", help="of --start (1000000)")
    how.add_argument("--blobs", type=_number, default=100_000, metavar="N", help="of --collecting (100000)")
    out = parser.add_argument_group("output")
    out.add_argument("--markdown", action="store_true", help="tables as bench/README.md has them")
    out.add_argument("--json", type=Path, metavar="FILE", help="every figure of every round as JSON, too")
    return parser


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _numbers(text: str) -> list[int]:
    return sorted(_number(part) for part in text.split(","))


def _size(text: str) -> str:
    if text[-1:] not in SIZES or not text[:-1].isdecimal() or int(text[:-1]) == 0:
        raise argparse.ArgumentTypeError("write 100k, 10m or 1g")
    return text


def _scenarios(text: str) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    try:
        return [known[name] for name in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"{error} is not one of {', '.join(known)}") from None


def _elsewhere(text: str) -> Elsewhere:
    name, _, url = text.partition("=")
    if not name or not url.startswith("http://"):
        raise argparse.ArgumentTypeError("write NAME=http://HOST:PORT")
    return Elsewhere(name, url.rstrip("/"))


def _prepare(options: argparse.Namespace, chosen: list[str]) -> tuple[Ground, Machine, list[str]]:
    needs = {
        "compare": STORE_BYTES,
        "syncs": STORE_BYTES,
        "memory": int(options.size[:-1]) * SIZES[options.size[-1]] * (options.pushes + 1),
        "databases": STORE_BYTES,
        "flat": sum(options.images) * BYTES_A_MANIFEST,
        "start": options.manifests * BYTES_A_MANIFEST,
        "collecting": STORE_BYTES + options.blobs * GARBAGE_BYTES,
        "authorization": STORE_BYTES,
        "sizing": STORE_BYTES,
    }
    stores = (options.store or cache_directory() / "stores").absolute()
    file_system = check_store(stores, needed=max(needs[name] for name in chosen))
    found, missing = find_peers(options.peer)
    keys = [peer.key for peer in found]
    for peer in options.peer:
        if peer.key == "longshore" or keys.count(peer.key) > 1:
            raise CannotMeasure(f"--peer {peer.key}: that name is taken, give another")
    if options.peers:
        unknown = set(options.peers) - set(keys)
        if unknown:
            missing.append(f"not to be had: {', '.join(sorted(unknown))}")
        found = [peer for peer in found if peer.key in options.peers]
    generator = Generator(build(), options.operations)
    ground = Ground(generator, stores, options.workers, options.rounds, tuple(found))
    return ground, describe(file_system), missing


def _measure(name: str, ground: Ground, options: argparse.Namespace) -> Section:
    kinds: list[Kind] = [kind for kind in TITLES if options.database in {kind, "both"}]
    match name:
        case "databases":
            return compare_databases(ground)
        case "flat":
            return measure_flatness(ground, kinds, {growth: getattr(options, growth) for growth in GROWTHS})
        case "start":
            return measure_start(ground, kinds, options.manifests)
        case "collecting":
            return measure_collecting(ground, kinds, options.blobs)
        case "syncs":
            return count_syncs(ground)
        case "memory":
            return measure_memory(ground, options.size, pushes=options.pushes, bucket=options.bucket)
        case "authorization":
            return measure_authorization(ground)
        case "sizing":
            return measure_sizing(ground)
        case _:
            return compare(ground, options.scenarios)


def _print(
    options: argparse.Namespace, ground: Ground, machine: Machine, missing: list[str], sections: dict[str, Section]
) -> None:
    if not sections:
        return
    facts = [
        f"{machine.text}.",
        f"Longshore with {ground.workers} worker{'s' if ground.workers > 1 else ''}; "
        f"{ground.rounds} round{'s' if ground.rounds > 1 else ''}.",
        *([] if machine.idle else [f"The machine was not idle: load average {machine.load_average:.1f} at the start."]),
        *([f"A trial of {options.operations} operations: the figures mean nothing."] if options.operations else []),
        *(f"{line[0].upper()}{line[1:]}." for line in missing),
    ]
    print("\n".join(facts) + "\n")
    render = render_markdown if options.markdown else render_text
    print("\n".join(render(table) for section in sections.values() for table in section.tables), end="")
    if options.json:
        data = {
            "machine": asdict(machine),
            "workers": ground.workers,
            "rounds": ground.rounds,
            "missing": missing,
            **{name: section.data for name, section in sections.items()},
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
