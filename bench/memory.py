"""Peak memory of each worker while eight large blobs, or more, are pushed at once."""

import contextlib
from collections.abc import Iterator

from bench.contenders import REPOSITORY, Running, log_in
from bench.ground import Ground, Section, say
from bench.machine import CannotMeasure, family, peak_memory_of
from bench.scenarios import MEMORY_MB
from bench.tables import Table, show_number, show_reached
from tests.backing import Backing
from tests.live import LiveServer
from tests.parts import built
from tests.s3 import S3Server

PUSHES = 8


@contextlib.contextmanager
def _over_a_bucket(ground: Ground) -> Iterator[Running]:
    """Longshore over a server of S3 that stores on the same disk."""
    if built("versitygw") is None:
        raise CannotMeasure("versitygw is not here: tests/parts/install installs it")
    with ground.directory() as place:
        bucket = S3Server(place / "s3")
        bucket.start()
        try:
            settings = Backing(s3=bucket).settings(place / "server")
            with LiveServer(place / "server", settings=settings, workers=ground.workers) as server:
                yield log_in(server, REPOSITORY)
        finally:
            bucket.stop()


def measure_memory(ground: Ground, size: str, *, pushes: int = PUSHES, bucket: bool = False) -> Section:
    """`size` as the load generator writes it: 1g. `bucket`: blobs go there, not to a disk."""
    with _over_a_bucket(ground) if bucket else ground.run(ground.longshore) as server:
        assert server.pid is not None
        ground.generator.warm_up(server)
        first, *workers = family(server.pid)
        serving = workers or [first]
        before = {pid: peak_memory_of(pid) for pid in serving}
        say(f"{pushes} pushes of {size} at once")
        (result,) = ground.generator.play(server, [f"push-{size}"], operations=pushes, at_once=pushes)
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
        f"Peak resident memory with {result.operations} pushes of {size} at once{' to a bucket' if bucket else ''}, MB",
        ("process", "before", "peak", "target: below", "reached"),
        rows,
        (f"{show_number(result.mb_per_second)} MB/s over all pushes.",),
    )
    data = {
        "size": size,
        "bucket": bucket,
        "result": result.as_dict(),
        "peak_mb": list(after.values()),
        "target_mb": MEMORY_MB,
    }
    return Section((table,), data)
