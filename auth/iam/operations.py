"""The operations of IAM, as a table: each module of this package has its rows."""

from functools import partial
from typing import Final

from auth.access import Access, Principal
from auth.iam import (
    absent,
    access_keys,
    account,
    attachments,
    boundaries,
    details,
    groups,
    inline,
    last_accessed,
    linked,
    policies,
    profiles,
    providers,
    roles,
    simulate,
    users,
)
from auth.iam.call import Iam, Row
from auth.iam.wording import report
from aws.dispatch import Operation, Service

OPERATIONS: Final[tuple[Row, ...]] = (
    *users.ROWS,
    *groups.ROWS,
    *roles.ROWS,
    *linked.ROWS,
    *profiles.ROWS,
    *access_keys.ROWS,
    *absent.ROWS,
    *boundaries.ROWS,
    *policies.ROWS,
    *attachments.ROWS,
    *inline.ROWS,
    *providers.ROWS,
    *account.ROWS,
    *details.ROWS,
    *simulate.ROWS,
    *last_accessed.ROWS,
)


def make_service(iam: Iam) -> Service[Principal, Access]:
    """The service `iam` of the dispatcher."""
    return Service(
        name="iam",
        operations=tuple(
            Operation(row.name, partial(row.handler, iam), partial(row.accesses, iam)) for row in OPERATIONS
        ),
        report=report,
    )
