"""Permissions boundaries of users and roles (IAM, "Permissions boundaries for IAM entities")."""

from typing import Final

from auth.iam.call import Call, Iam, Result, Row, invalid_input
from auth.iam.identities import asked_boundary, on_role, on_user, present_boundary, read_free_role, read_user
from auth.iam.managed import CATALOGUE
from auth.rows.policies import read_policy
from auth.rows.roles import set_role_boundary
from auth.rows.users import set_user_boundary
from aws.arn import Arn
from aws.errors import AwsError
from store.database import Unit


def refuse_boundary(call: Call) -> Unit[None]:
    """Raises AwsError unless PermissionsBoundary, where it is given, is a policy of the account or of AWS."""
    arn = call.params.get("PermissionsBoundary")
    if arn is None or arn in CATALOGUE:
        return
    try:
        Arn.parse(arn)
    except ValueError:
        raise invalid_input(f"ARN {arn} is not valid.") from None
    policy = yield from read_policy(arn)
    if policy is None or policy.account != call.account:
        raise AwsError("NoSuchEntityException", f"Scope ARN: {arn} does not exist or is not attachable.", status=404)


async def put_user_permissions_boundary(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        user = yield from read_user(call)
        yield from refuse_boundary(call)
        yield from set_user_boundary(user.id, call.params["PermissionsBoundary"])

    await iam.epoch.change(unit)
    return {}


async def delete_user_permissions_boundary(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        user = yield from read_user(call)
        yield from set_user_boundary(user.id, "")

    await iam.epoch.change(unit)
    return {}


async def put_role_permissions_boundary(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        role = yield from read_free_role(call)
        yield from refuse_boundary(call)
        yield from set_role_boundary(role.id, call.params["PermissionsBoundary"])

    await iam.epoch.change(unit)
    return {}


async def delete_role_permissions_boundary(iam: Iam, call: Call) -> Result:
    def unit() -> Unit[None]:
        role = yield from read_free_role(call)
        yield from set_role_boundary(role.id, "")

    await iam.epoch.change(unit)
    return {}


ROWS: Final = (
    Row(
        "PutUserPermissionsBoundary",
        put_user_permissions_boundary,
        on_user("PutUserPermissionsBoundary", asked_boundary),
    ),
    Row(
        "DeleteUserPermissionsBoundary",
        delete_user_permissions_boundary,
        on_user("DeleteUserPermissionsBoundary", present_boundary),
    ),
    Row(
        "PutRolePermissionsBoundary",
        put_role_permissions_boundary,
        on_role("PutRolePermissionsBoundary", asked_boundary),
    ),
    Row(
        "DeleteRolePermissionsBoundary",
        delete_role_permissions_boundary,
        on_role("DeleteRolePermissionsBoundary", present_boundary),
    ),
)
