"""The table of STS's operations."""

from types import SimpleNamespace
from typing import Any

from auth.access import Principal, PrincipalKind
from auth.sts.operations import OPERATIONS, make_service
from aws.model import Models


async def test_the_identity_is_the_signers_and_needs_no_leave() -> None:
    principal = Principal(PrincipalKind.USER, "123456789012", "arn:aws:iam::123456789012:user/a", "AIDAEXAMPLE")
    call: Any = SimpleNamespace(principal=principal, account=principal.account, params={})
    (row,) = OPERATIONS
    assert list(row.access(call)) == []
    assert await row.handler(call) == {
        "UserId": "AIDAEXAMPLE",
        "Account": "123456789012",
        "Arn": "arn:aws:iam::123456789012:user/a",
    }


def test_every_operation_is_one_of_the_model() -> None:
    assert {row.name for row in make_service().operations} <= Models().service("sts").operations
