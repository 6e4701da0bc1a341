"""What a push pays to be durable: the fsync and fdatasync calls of the server for each image."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench.contenders import Running
from bench.generator import Generator
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure, family
from bench.tables import Table, show_number

CALLS = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")
IMAGES = 200
ATTACH_SECONDS = 10.0


def count_syncs(ground: Ground) -> Section:
    """Raises CannotMeasure where neither perf nor strace may look at other processes."""
    tool = find_tool()
    rows = []
    data = []
    for key, contender in ground.contenders.items():
        if contender.files:
            continue
        for at_once in (1, 8):
            with ground.run(contender) as server:
                if server.pid is None:
                    say(f"{contender.label}: not started here, its calls cannot be counted")
                    continue
                ground.generator.warm_up(server)
                calls, images = _count(tool, ground.generator, server, at_once)
            each = {call: number / images for call, number in calls.items() if number}
            total = sum(each.values())
            say(f"{contender.label}, {at_once} at once: {total:.2f} syncs for an image")
            parts = ", ".join(f"{call} {show_number(number)}" for call, number in each.items())
            rows.append((contender.label, str(at_once), f"{total:.2f}", parts))
            data.append({"contender": key, "at_once": at_once, "images": images, "calls": calls})
    table = Table(
        "Syncs for an image (three layers, config, manifest)",
        ("server", "pushes at once", "syncs for an image", "calls"),
        tuple(rows),
        (f"Counted by {tool} on the server's processes while images were pushed. Strace slows a server down.",)
        if tool == "strace"
        else (f"Counted by {tool} on the server's processes while images were pushed.",),
    )
    return Section((table,), {"tool": tool, "counts": data})


def find_tool() -> str:
    """perf where the kernel lets it count system calls, for it hardly disturbs; else strace."""
    for tool, probe in (("perf", _perf(["true"], None)), ("strace", ["strace", "-f", "-c", "-o", "/dev/null", "true"])):
        if shutil.which(tool) and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return tool
    raise CannotMeasure("the syncs are counted by perf or strace: neither is installed and may look at processes here")


def _perf(command: list[str], pids: list[int] | None, output: str = "/dev/null") -> list[str]:
    events = ",".join(f"syscalls:sys_enter_{call}" for call in CALLS)
    target = ["-p", ",".join(map(str, pids))] if pids else []
    return ["perf", "stat", "-x", ",", "-o", output, "-e", events, *target, "--", *command]


def _count(tool: str, generator: Generator, server: Running, at_once: int) -> tuple[dict[str, int], int]:
    assert server.pid is not None
    pids = family(server.pid)
    load = generator.command(server, ["image-push"], operations=IMAGES, at_once=at_once)
    output = generator.program.parent / f"syncs-{server.pid}"
    try:
        if tool == "perf":
            results = generator.read(_perf(load, pids, str(output)))
            counts = parse_perf(output.read_text())
        else:
            with _attached_strace(pids, output):
                results = generator.read(load)
            counts = parse_strace(output.read_text())
    finally:
        output.unlink(missing_ok=True)
    if results[0].errors:
        raise CannotMeasure(f"images could not be pushed: {results[0].first_error}")
    return counts, results[0].operations


class _attached_strace:  # noqa: N801 - a context manager, used like a function
    def __init__(self, pids: list[int], output: Path) -> None:
        targets = [part for pid in pids for part in ("-p", str(pid))]
        command = ["strace", "-f", "-c", "-o", str(output), "-e", f"trace={','.join(CALLS)}", *targets]
        self._pids = pids
        self._words = output.with_suffix(".said")
        self._command = command

    def __enter__(self) -> None:
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        deadline = time.monotonic() + ATTACH_SECONDS
        while self._words.read_text().count(" attached") < len(self._pids):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._words.read_text().strip()
                self.__exit__()
                raise CannotMeasure(f"strace could not attach to the server: {said}")
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._words.unlink()


def parse_perf(text: str) -> dict[str, int]:
    """Calls by name, from `perf stat -x ,`."""
    counts = {}
    for line in text.splitlines():
        found = re.match(r"(\d+),[^,]*,syscalls:sys_enter_(\w+),", line)
        if found:
            counts[found[2]] = int(found[1])
    return counts


def parse_strace(text: str) -> dict[str, int]:
    """Calls by name, from the table of `strace -c`: % time, seconds, usecs/call, calls, errors (may be empty), syscall."""
    counts = {}
    for line in text.splitlines():
        cells = line.split()
        if len(cells) in {5, 6} and cells[-1] in CALLS:
            counts[cells[-1]] = int(cells[3])
    return counts
