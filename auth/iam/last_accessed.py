"""What was last accessed with the permissions of someone or of a policy (GenerateServiceLastAccessedDetails,
GetServiceLastAccessedDetails, GetServiceLastAccessedDetailsWithEntities, ListPoliciesGrantingServiceAccess).

A report is a job that is done at once. It tells of the services that are served here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from auth.iam.call import Call, Iam, Result, Row, on_arn, on_everything, page_of, paged
from auth.iam.entities import HeldPolicy, documents_of, entity_of_arn, policies_of
from auth.iam.identities import arn_of, shown_time
from auth.iam.policies import find_managed, no_such_policy
from auth.policy.document import Kind, Policy, Source, Statement
from auth.rows import attachments
from auth.rows import last_accessed as rows
from auth.rows.entities import EntityKind, StoredEntity, list_members_of
from auth.rows.last_accessed import StoredReport, StoredUse
from aws.errors import AwsError
from base.ids import new_uuid

SERVICES: Final = {
    "ecr": "Amazon Elastic Container Registry",
    "iam": "AWS Identity and Access Management",
    "organizations": "AWS Organizations",
    "sts": "AWS Security Token Service",
}
"""Namespaces, in their order, and what IAM calls them."""
_KEPT: Final = 24 * 3600.0
"""Seconds that a report can be asked for."""


async def generate_report(iam: Iam, call: Call) -> Result:
    await _subject_of(iam, call)
    now = iam.clock()
    report = StoredReport(
        new_uuid(), call.account, call.params["Arn"], call.params.get("Granularity", "SERVICE_LEVEL"), now
    )
    await iam.database.write(lambda: rows.insert_report(report, forget_before=now - _KEPT))
    return {"JobId": report.id}


async def get_report(iam: Iam, call: Call) -> Result:
    """The services that the policies allow, by name."""
    limit, after = page_of(call.params)
    report, subject = await _report_of(iam, call)
    uses = await rows.list_uses(iam.database, [entity.id for entity in subject.entities])
    services = [name for name in SERVICES if name > after and _allows(subject.policies, name)]
    page = paged(
        "ServicesLastAccessed",
        services,
        limit,
        key=str,
        render=lambda name: _render_service(name, subject, uses, by_action=report.granularity == "ACTION_LEVEL"),
    )
    return {**_done(report), "JobType": report.granularity, **page}


async def get_report_with_entities(iam: Iam, call: Call) -> Result:
    """Who last used the service comes first, who never did last."""
    limit, after = page_of(call.params)
    report, subject = await _report_of(iam, call)
    service = call.params["ServiceNamespace"]
    if service not in SERVICES or not _allows(subject.policies, service):
        raise AwsError("NoSuchEntityException", f"The report has no service with namespace {service}.", status=404)
    last: dict[str, float] = {}
    for use in _of_service(await rows.list_uses(iam.database, [entity.id for entity in subject.entities]), service):
        last[use.identity_id] = max(use.used_at, last.get(use.identity_id, 0.0))
    ordered = sorted(subject.entities, key=lambda one: (-last.get(one.id, 0.0), one.name.lower(), one.id))
    keys = [entity.id for entity in ordered]
    first = keys.index(after) + 1 if after in keys else 0
    page = paged(
        "EntityDetailsList",
        ordered[first:],
        limit,
        key=lambda entity: entity.id,
        render=lambda entity: {
            "EntityInfo": {
                "Arn": arn_of(entity.kind, entity),
                "Name": entity.name,
                "Type": entity.kind.upper(),
                "Id": entity.id,
                "Path": entity.path,
            },
            "LastAuthenticated": shown_time(last[entity.id]) if entity.id in last else None,
        },
    )
    return {**_done(report), **page}


async def list_policies_granting_access(iam: Iam, call: Call) -> Result:
    entity = await entity_of_arn(iam, call, "Arn")
    held = await policies_of(iam, entity)
    return {
        "PoliciesGrantingServiceAccess": [
            {
                "ServiceNamespace": service,
                "Policies": [_render_policy(one) for one in held if _allows([one.policy], service)],
            }
            for service in dict.fromkeys(call.params["ServiceNamespaces"])
        ],
        "IsTruncated": False,
    }


# -- whom a report is about


@dataclass(frozen=True, slots=True)
class _Subject:
    """Policies, and the users and roles that have permissions by them."""

    policies: Sequence[Policy]
    entities: Sequence[StoredEntity]


async def _subject_of(iam: Iam, call: Call, arn: str = "") -> _Subject:
    """Of a user, group, role or policy. Raises AwsError."""
    arn = arn or call.params["Arn"]
    if ":policy/" in arn:
        managed = await find_managed(iam, call.account, arn)
        if managed is None:
            raise no_such_policy(arn)
        documents = (await documents_of(iam, [arn])).values()
        policies = [iam.directory.compile(text, Kind.IDENTITY, name, "", Source.NONE) for name, text in documents]
        return _Subject(policies, await _having(iam, call.account, arn))
    entity = await entity_of_arn(iam, call, "Arn", arn)
    policies = [held.policy for held in await policies_of(iam, entity)]
    if entity.kind is EntityKind.GROUP:
        return _Subject(policies, await list_members_of(iam.database, [entity.id]))
    return _Subject(policies, [entity])


async def _having(iam: Iam, account: str, arn: str) -> list[StoredEntity]:
    """Users and roles that a policy is attached to, by themselves or in a group."""
    uses = await attachments.list_attached_to(iam.database, account, arn)
    groups = [use.id for use in uses if use.kind is EntityKind.GROUP]
    found = {
        use.id: StoredEntity(use.kind, use.id, account, use.name, use.path, "")
        for use in uses
        if use.kind is not EntityKind.GROUP
    }
    for member in await list_members_of(iam.database, groups):
        found.setdefault(member.id, member)
    return list(found.values())


async def _report_of(iam: Iam, call: Call) -> tuple[StoredReport, _Subject]:
    identifier = call.params["JobId"]
    report = await rows.find_report(iam.database, call.account, identifier)
    if report is None or report.created_at < iam.clock() - _KEPT:
        raise AwsError("NoSuchEntityException", f"The job with id {identifier} cannot be found.", status=404)
    return report, await _subject_of(iam, call, report.arn)


# -- what policies say of a service


def _allows(policies: Iterable[Policy], service: str) -> bool:
    return any(_grants(statement, service) for policy in policies for statement in policy.statements)


def _grants(statement: Statement, service: str) -> bool:
    """Whether it allows some action of the service. Conditions and resources do not count."""
    written = [action.lower().partition(":") for action in statement.actions.written]
    if statement.effect != "Allow":
        return False
    if statement.actions.excluded:
        return not any(vendor == "*" or (vendor == service and not name.strip("*")) for vendor, _, name in written)
    return any(vendor in {"*", service} for vendor, _, _ in written)


# -- shapes


def _of_service(uses: Iterable[StoredUse], service: str) -> list[StoredUse]:
    return [use for use in uses if use.action.startswith(f"{service}:")]


def _done(report: StoredReport) -> Result:
    return {
        "JobStatus": "COMPLETED",
        "JobCreationDate": shown_time(report.created_at),
        "JobCompletionDate": shown_time(report.created_at),
    }


def _render_service(service: str, subject: _Subject, uses: Iterable[StoredUse], *, by_action: bool) -> Result:
    """IAM's ServiceLastAccessed."""
    used = _of_service(uses, service)
    arns = {entity.id: arn_of(entity.kind, entity) for entity in subject.entities}
    shown: Result = {
        "ServiceName": SERVICES[service],
        "ServiceNamespace": service,
        "TotalAuthenticatedEntities": len({use.identity_id for use in used}),
    }
    if not used:
        return shown
    last = max(used, key=lambda use: use.used_at)
    shown["LastAuthenticated"] = shown_time(last.used_at)
    shown["LastAuthenticatedEntity"] = arns[last.identity_id]
    shown["LastAuthenticatedRegion"] = last.region
    if by_action:
        latest: dict[str, StoredUse] = {}
        for use in used:
            kept = latest.setdefault(use.action, use)
            if use.used_at > kept.used_at:
                latest[use.action] = use
        shown["TrackedActionsLastAccessed"] = [
            {
                "ActionName": action.partition(":")[2],
                "LastAccessedEntity": arns[use.identity_id],
                "LastAccessedTime": shown_time(use.used_at),
                "LastAccessedRegion": use.region,
            }
            for action, use in sorted(latest.items())
        ]
    return shown


def _render_policy(held: HeldPolicy) -> Result:
    """IAM's PolicyGrantingServiceAccess: a managed policy by its ARN, an inline one by whom it is embedded in."""
    if held.arn:
        return {"PolicyName": held.name, "PolicyType": "MANAGED", "PolicyArn": held.arn}
    return {
        "PolicyName": held.name,
        "PolicyType": "INLINE",
        "EntityType": held.kind.upper(),
        "EntityName": held.owner,
    }


ROWS: Final[tuple[Row, ...]] = (
    Row(
        "GenerateServiceLastAccessedDetails",
        generate_report,
        on_arn("GenerateServiceLastAccessedDetails", "Arn"),
    ),
    Row("GetServiceLastAccessedDetails", get_report, on_everything("GetServiceLastAccessedDetails")),
    Row(
        "GetServiceLastAccessedDetailsWithEntities",
        get_report_with_entities,
        on_everything("GetServiceLastAccessedDetailsWithEntities"),
    ),
    Row(
        "ListPoliciesGrantingServiceAccess",
        list_policies_granting_access,
        on_arn("ListPoliciesGrantingServiceAccess", "Arn"),
    ),
)
