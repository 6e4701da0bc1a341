"""Asking IAM's policy simulator, which knows any action and takes context keys as they are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pytest_longshore.errors import LongshoreError
from pytest_longshore.probes import read_repository

if TYPE_CHECKING:
    from pytest_longshore.principals import Principal


@dataclass(frozen=True)
class Answer:
    """Whether it is allowed, and why (or why not) in words."""

    allowed: bool
    reason: str


def simulate(principal: "Principal", action: str, resource: str, context: Mapping[str, Any]) -> Answer:
    """SimulatePrincipalPolicy for the principal's user or role. Raises LongshoreError for what it cannot simulate."""
    __tracebackhide__ = True
    if principal.identity_arn.endswith(":root"):
        raise LongshoreError(
            f"{principal.arn} is a root user, whom the simulator does not know: make the request itself"
        )
    if principal.session_policy:
        raise LongshoreError(
            f"{principal.arn} is a session with a policy of its own, which the simulator does not know: make the "
            f"request itself (`with principal.refused({action!r}): ..`)"
        )
    params: dict[str, Any] = {
        "PolicySourceArn": principal.identity_arn,
        "ActionNames": [action],
        "ContextEntries": [_entry(name, value) for name, value in context.items()],
    }
    if resource != "*":
        params["ResourceArns"] = [resource]
        params |= _of_repository(principal, action, resource)
    found = principal.account.root.client("iam").simulate_principal_policy(**params)["EvaluationResults"][0]
    return Answer(found["EvalDecision"] == "allowed", _reason(found))


def _of_repository(principal: "Principal", action: str, arn: str) -> dict[str, Any]:
    """Its owner, and its policy where it has one: the simulator knows neither."""
    __tracebackhide__ = True
    repository = read_repository(arn)
    if repository is None:
        return {}
    owner = principal.account.find(repository.account)
    given: dict[str, Any] = {"ResourceOwner": f"arn:aws:iam::{repository.account}:root"}
    try:
        ecr = owner.root.client("ecr", repository.region)
        policy = ecr.get_repository_policy(registryId=repository.account, repositoryName=repository.name)["policyText"]
    except ClientError as error:
        if not error.response["Error"]["Code"].endswith("NotFoundException"):
            raise
        return given
    if ":user/" not in principal.identity_arn:
        raise LongshoreError(
            f"{arn} has a repository policy, which the simulator takes for users only: make the request itself "
            f"(`with principal.refused({action!r}): ..`)"
        )
    return {**given, "ResourcePolicy": policy, "CallerArn": principal.identity_arn}


def _entry(name: str, value: Any) -> dict[str, Any]:
    """A ContextEntry of the value's type; an address's type is told by the key."""
    if isinstance(value, list | tuple):
        return {"ContextKeyName": name, "ContextKeyValues": list(value), "ContextKeyType": "stringList"}
    kind = "string"
    if isinstance(value, bool):
        kind, value = "boolean", "true" if value else "false"
    elif isinstance(value, int | float):
        kind, value = "numeric", str(value)
    elif name.lower() in {"aws:sourceip", "aws:vpcsourceip"}:
        kind = "ip"
    elif name.lower() in {"aws:currenttime", "aws:tokenissuetime"}:
        kind = "date"
    return {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": kind}


def _reason(found: Mapping[str, Any]) -> str:
    lines = [f"the simulator says {found['EvalDecision']}"]
    matched = found.get("MatchedStatements", ())
    lines += [
        f"  matched: {one['SourcePolicyId']} ({one['SourcePolicyType']}), "
        f"line {one['StartPosition']['Line']}, column {one['StartPosition']['Column']}"
        for one in matched
    ]
    if not matched:
        lines.append("  no statement matched")
    if missing := found.get("MissingContextValues"):
        lines.append(f"  context keys that policies read and the test did not give: {', '.join(missing)}")
    if found.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
        lines.append("  not allowed by the organization's service control policies")
    if found.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
        lines.append("  not allowed by the permissions boundary")
    return "\n".join(lines)
