"""The operations of STS, as a table: each module of this package has its rows."""

from functools import partial
from typing import Final

from auth.access import Access, Principal
from auth.sts import federation, identity, roles, web_identity
from auth.sts.call import Row, Sts
from aws.dispatch import Operation, Service

OPERATIONS: Final[tuple[Row, ...]] = (
    *identity.ROWS,
    *roles.ROWS,
    *web_identity.ROWS,
    *federation.ROWS,
)


def make_service(sts: Sts) -> Service[Principal, Access]:
    """The service `sts` of the dispatcher."""
    return Service(
        name="sts",
        operations=tuple(
            Operation(row.name, partial(row.handler, sts), partial(row.accesses, sts), signed=row.signed)
            for row in OPERATIONS
        ),
    )
