"""Peak memory of each worker while eight large blobs are pushed at once."""

from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure, family, peak_memory_of
from bench.scenarios import MEMORY_MB
from bench.tables import Table, show_number, show_reached

PUSHES = 8


def measure_memory(ground: Ground, size: str) -> Section:
    """`size` as the load generator writes it: 1g."""
    with ground.run(ground.longshore) as server:
        assert server.pid is not None
        ground.generator.warm_up(server)
        first, *workers = family(server.pid)
        serving = workers or [first]
        before = {pid: peak_memory_of(pid) for pid in serving}
        say(f"{PUSHES} pushes of {size} at once")
        (result,) = ground.generator.play(server, [f"push-{size}"], operations=PUSHES, at_once=PUSHES)
        if result.errors:
            raise CannotMeasure(f"{result.errors} of {result.operations} pushes failed: {result.first_error}")
        after = {pid: peak_memory_of(pid) for pid in serving}
    rows = tuple(
        (
            f"worker {number}",
            f"{before[pid]:.0f}",
            f"{after[pid]:.0f}",
            f"{MEMORY_MB:.0f}",
            show_reached(after[pid] < MEMORY_MB),
        )
        for number, pid in enumerate(serving)
    )
    table = Table(
        f"Peak resident memory with {result.operations} pushes of {size} at once, MB",
        ("process", "before", "peak", "target: below", "reached"),
        rows,
        (f"{show_number(result.mb_per_second)} MB/s over all pushes.",),
    )
    data = {"size": size, "result": result.as_dict(), "peak_mb": list(after.values()), "target_mb": MEMORY_MB}
    return Section((table,), data)
