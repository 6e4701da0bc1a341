"""The collector as the settings have it, for a server and for `longshore gc`."""

from collections.abc import Callable

from base.clock import Clock
from base.ids import new_uuid
from base.pace import Pace
from config.settings import Settings
from registry.gc import Collected, Collector
from registry.rounds import COLLECTOR, Intervals, Rounds
from registry.rows.collections import Kind
from registry.survey import Survey
from store.blobs.driver import BlobDriver
from store.database import Database
from store.leases import Lease


def make_rounds(
    settings: Settings,
    database: Database,
    blobs: BlobDriver,
    *,
    clock: Clock,
    share: float,
    report: Callable[[Kind, Collected], None],
) -> Rounds:
    """`share` is the part of the time that the collector takes, `report` is told what a round or a search did."""
    pace = Pace(share=share)
    collector = Collector(
        database,
        blobs,
        clock=clock,
        grace=settings.gc.grace,
        upload_expiry=settings.registry.upload_expiry,
        settle=settings.gc.settle,
        referrers_after=settings.gc.referrers_after,
        pace=pace,
    )
    lease = Lease(database, COLLECTOR, new_uuid(), clock=clock)
    intervals = Intervals(settings.gc.interval, settings.gc.orphan_interval)
    return Rounds(database, collector, lease, pace, clock=clock, intervals=intervals, report=report)


def make_survey(settings: Settings, database: Database, blobs: BlobDriver, *, clock: Clock) -> Survey:
    """What those rounds would do."""
    return Survey(
        database,
        blobs,
        clock=clock,
        grace=settings.gc.grace,
        upload_expiry=settings.registry.upload_expiry,
        referrers_after=settings.gc.referrers_after,
    )
