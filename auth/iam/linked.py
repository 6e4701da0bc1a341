"""Service-linked roles (CreateServiceLinkedRole, DeleteServiceLinkedRole, GetServiceLinkedRoleDeletionStatus): predefined
roles that only their service assumes and nobody changes (IAM, "Create a service-linked role")."""

import json
import re
from dataclasses import dataclass
from typing import Final

from auth.access import Access
from auth.directory import identity_arn
from auth.iam.call import Call, Iam, Result, Row, invalid_input, no_such
from auth.iam.identities import ROLE, SERVICE_ROLES, on_role, read_role
from auth.iam.roles import insert, render_roles
from auth.identifiers import new_unique_id
from auth.rows.attachments import delete_attachment, insert_attachment
from auth.rows.roles import Role, delete_role
from base.ids import new_uuid
from store.database import Unit


@dataclass(frozen=True, slots=True)
class Linked:
    """What a service's role is called, and the name of AWS's policy that it has."""

    name: str
    policy: str
    description: str

    @property
    def policy_arn(self) -> str:
        return f"arn:aws:iam::aws:policy{SERVICE_ROLES}{self.policy}"


SERVICES: Final = {
    "ecs.amazonaws.com": Linked(
        "AWSServiceRoleForECS", "AmazonECSServiceRolePolicy", "Role to enable Amazon ECS to manage your cluster."
    ),
    "replication.ecr.amazonaws.com": Linked(
        "AWSServiceRoleForECRReplication",
        "ECRReplicationServiceRolePolicy",
        "Role to enable Amazon ECR to replicate images.",
    ),
    "pullthroughcache.ecr.amazonaws.com": Linked(
        "AWSServiceRoleForECRPullThroughCache",
        "AWSECRPullThroughCache_ServiceRolePolicy",
        "Role to enable Amazon ECR to cache upstream images.",
    ),
    "ecs.application-autoscaling.amazonaws.com": Linked(
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
        "Role to enable Application Auto Scaling to scale services.",
    ),
}
"""By the service that assumes the role."""
_TASK: Final = re.compile(r"task(/aws-service-role/[\w.-]+/)([\w+=,.@-]+)/[0-9a-f-]{36}", re.ASCII)


async def create_service_linked_role(iam: Iam, call: Call) -> Result:
    service = call.params["AWSServiceName"]
    linked = SERVICES.get(service)
    if linked is None:
        raise invalid_input(f"{service} is no service that has a service-linked role here.")
    if "CustomSuffix" in call.params:
        raise invalid_input(f"Custom suffix is not allowed for {service}")
    role = Role(
        new_unique_id("AROA"),
        call.account,
        linked.name,
        _path(service),
        _trust(service),
        call.params.get("Description", linked.description),
        3600,
        "",
        iam.clock(),
    )

    def unit() -> Unit[None]:
        yield from insert(
            role,
            taken=invalid_input(
                f"Service role name {role.name} has been taken in this account, please try a different suffix."
            ),
        )
        yield from insert_attachment(role.id, linked.policy_arn, role.account, role.created_at)

    await iam.epoch.change(unit)
    return {"Role": (await render_roles(iam, [role]))[role.id]}


async def delete_service_linked_role(iam: Iam, call: Call) -> Result:
    """Nothing of the services holds on to a role, so it is gone at once."""

    def unit() -> Unit[Role]:
        role = yield from read_role(call)
        linked = SERVICES.get(role.path.removeprefix(SERVICE_ROLES).removesuffix("/"))
        if linked is None:
            raise no_such("role", call.params["RoleName"])
        yield from delete_attachment(role.id, linked.policy_arn)
        yield from delete_role(role.id)
        return role

    role = await iam.epoch.change(unit)
    return {"DeletionTaskId": f"task{role.path}{role.name}/{new_uuid()}"}


async def get_service_linked_role_deletion_status(iam: Iam, call: Call) -> Result:  # noqa: ARG001 - called alike
    if _TASK.fullmatch(call.params["DeletionTaskId"]) is None:
        raise invalid_input("DeletionTaskId is not valid.")
    return {"Status": "SUCCEEDED"}


def _path(service: str) -> str:
    return f"{SERVICE_ROLES}{service}/"


def _trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def _creating(_: Iam, call: Call) -> list[Access]:
    service = call.params["AWSServiceName"]
    name = SERVICES[service].name if service in SERVICES else ""
    arn = identity_arn(ROLE, call.account, _path(service), name)
    return [Access("iam:CreateServiceLinkedRole", arn, (("iam:AWSServiceName", service),))]


def _asking(_: Iam, call: Call) -> list[Access]:
    task = _TASK.fullmatch(call.params["DeletionTaskId"])
    path, name = task.groups() if task else (SERVICE_ROLES, "")
    return [Access("iam:GetServiceLinkedRoleDeletionStatus", identity_arn(ROLE, call.account, path, name))]


ROWS: Final = (
    Row("CreateServiceLinkedRole", create_service_linked_role, _creating),
    Row("DeleteServiceLinkedRole", delete_service_linked_role, on_role("DeleteServiceLinkedRole")),
    Row("GetServiceLinkedRoleDeletionStatus", get_service_linked_role_deletion_status, _asking),
)
