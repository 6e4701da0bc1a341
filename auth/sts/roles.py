"""AssumeRole, and what every session of a role has in common (IAM User Guide, "Methods to assume a role")."""

import re
from collections.abc import Iterable
from typing import Final

from auth.access import Access, PrincipalKind, Session, SessionKind, Value
from auth.directory import Role
from auth.resources import find_role
from auth.sessions import Sessions, Subject, TemporaryKey
from auth.sts.call import (
    Call,
    Result,
    Row,
    Sts,
    check_mfa,
    denied,
    render_credentials,
    validation,
)
from auth.sts.passed import NOTHING, Passed, check_policy_arns, read_passed
from base.clock import Clock

DEFAULT_SECONDS: Final = 3600
LONGEST_CHAINED: Final = 3600
_ROLE: Final = re.compile(r"arn:aws:iam::[0-9]{12}:role/[\x21-\x7e]+")


def check_role_arn(arn: str) -> None:
    """Raises AwsError for what cannot name a role. Whether there is one is not said."""
    if not _ROLE.fullmatch(arn):
        raise validation(f"{arn} is invalid")


def assuming(
    action: str, arn: str, passed: Passed, keys: Iterable[tuple[str, Value]], *, source_identity: str
) -> list[Access]:
    """The leave to begin a session of a role: `sts:<action>`, and what tags and a source identity take, inherited ones
    too. AWS looks at the latter first."""
    every = (*keys, *passed.tag_keys())
    accesses = []
    if source_identity:
        every = (*every, ("sts:SourceIdentity", source_identity))
        accesses.append(Access("sts:SetSourceIdentity", arn, every))
    if passed.all_tags:
        accesses.append(Access("sts:TagSession", arn, every))
    return [*accesses, Access(f"sts:{action}", arn, every)]


def check_duration(seconds: int, role: Role, *, chained: bool) -> None:
    """Raises AwsError."""
    if seconds > role.max_session:
        raise validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    if chained and seconds > LONGEST_CHAINED:
        raise validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )


def issue_role_session(
    sessions: Sessions,
    clock: Clock,
    role: Role,
    name: str,
    *,
    seconds: int = DEFAULT_SECONDS,
    passed: Passed = NOTHING,
    kind: SessionKind = SessionKind.ROLE,
    source_identity: str = "",
    provider: str = "",
    claims: tuple[tuple[str, Value], ...] = (),
    chained: bool = False,
) -> TemporaryKey:
    """Credentials of a session of the role that begins now. Whoever calls this has made sure that it may."""
    now = float(int(clock()))
    session = Session(
        kind,
        name,
        now,
        now + seconds,
        policies=passed.policies,
        policy_arns=passed.policy_arns,
        tags=passed.all_tags,
        transitive=passed.all_transitive,
        source_identity=source_identity,
        provider=provider,
        claims=claims,
        chained=chained,
    )
    return sessions.issue(Subject(PrincipalKind.ROLE_SESSION, role.account, role.id, "", session))


def render_assumed(role: Role, name: str) -> Result:
    """STS's AssumedRoleUser: the ARN has no path."""
    return {
        "AssumedRoleId": f"{role.id}:{name}",
        "Arn": f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{name}",
    }


def _source_identity(call: Call) -> str:
    """The request's, or the calling session's, which the next one keeps. Raises AwsError."""
    given: str = call.params.get("SourceIdentity", "")
    session = call.principal.session
    held = "" if session is None else session.source_identity
    if given and held and given != held:
        raise validation("The source identity is already set for this assume role session")
    return given or held


def _accesses(_: Sts, call: Call) -> list[Access]:
    arn = call.params["RoleArn"]
    check_role_arn(arn)
    if call.principal.kind is PrincipalKind.ROOT:
        raise denied("Roles may not be assumed by root accounts.")
    if "ProvidedContexts" in call.params:
        raise validation("Trusted context assertions (ProvidedContexts) are not issued by this server.")
    check_mfa(call)
    passed = read_passed(call.params, caller=call.principal.session)
    keys: list[tuple[str, Value]] = [("sts:RoleSessionName", call.params["RoleSessionName"])]
    if "ExternalId" in call.params:
        keys.append(("sts:ExternalId", call.params["ExternalId"]))
    return assuming("AssumeRole", arn, passed, keys, source_identity=_source_identity(call))


async def _assume_role(sts: Sts, call: Call) -> Result:
    params = call.params
    role = await find_role(sts.directory, params["RoleArn"])
    if role is None:  # it went while the gate was asked
        raise denied(
            f"User: {call.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {params['RoleArn']}"
        )
    seconds = params.get("DurationSeconds", DEFAULT_SECONDS)
    chained = call.principal.kind is PrincipalKind.ROLE_SESSION
    check_duration(seconds, role, chained=chained)
    passed = read_passed(params, caller=call.principal.session)
    await check_policy_arns(sts.directory, passed.policy_arns, role.account)
    source_identity = _source_identity(call)
    key = issue_role_session(
        sts.sessions,
        sts.clock,
        role,
        params["RoleSessionName"],
        seconds=seconds,
        passed=passed,
        source_identity=source_identity,
        chained=chained,
    )
    result = {
        "Credentials": render_credentials(key),
        "AssumedRoleUser": render_assumed(role, params["RoleSessionName"]),
        **passed.shown(),
    }
    return {**result, "SourceIdentity": source_identity} if source_identity else result


ROWS: Final = (Row("AssumeRole", _assume_role, _accesses),)
