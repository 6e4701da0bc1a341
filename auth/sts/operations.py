"""The operations of STS, as a table."""

from typing import Any, Final

from auth.access import Access, Principal
from aws.dispatch import Call, Operation, Service


async def get_caller_identity(call: Call[Principal]) -> dict[str, Any]:
    """Needs no leave: whoever can sign may know who they are."""
    return {"UserId": call.principal.unique_id, "Account": call.account, "Arn": call.principal.arn}


def _none(call: Call[Principal]) -> tuple[Access, ...]:  # noqa: ARG001 - every row is asked alike
    return ()


OPERATIONS: Final = (Operation("GetCallerIdentity", get_caller_identity, _none),)


def make_service() -> Service[Principal, Access]:
    """The service `sts` of the dispatcher."""
    return Service(name="sts", operations=OPERATIONS)
