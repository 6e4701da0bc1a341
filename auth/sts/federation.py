"""GetSessionToken and GetFederationToken: sessions of a user's or root's own (IAM User Guide, "Compare AWS STS credentials")."""

from typing import Final

from auth.access import Access, PrincipalKind, Session, SessionKind
from auth.sessions import Subject
from auth.sts.call import Call, Result, Row, Sts, check_mfa, denied, render_credentials
from auth.sts.passed import check_policy_arns, read_passed

DEFAULT_SECONDS: Final = 43_200
LONGEST_OF_ROOT: Final = 3600


def _seconds(call: Call) -> int:
    """What is asked for; root gets an hour at most."""
    asked: int = call.params.get("DurationSeconds", DEFAULT_SECONDS)
    return min(asked, LONGEST_OF_ROOT) if call.principal.kind is PrincipalKind.ROOT else asked


def _check_long_lived(call: Call) -> None:
    if call.principal.session is not None:
        raise denied(f"Cannot call {call.operation} with session credentials")


def _session_token_accesses(_: Sts, call: Call) -> tuple[Access, ...]:
    """It needs no permission: the operation authenticates, and policies do not control that."""
    _check_long_lived(call)
    check_mfa(call)
    return ()


async def _get_session_token(sts: Sts, call: Call) -> Result:
    principal = call.principal
    now = float(int(sts.clock()))
    session = Session(SessionKind.TOKEN, "", now, now + _seconds(call), key_id=principal.key_id)
    key = sts.sessions.issue(Subject(principal.kind, principal.account, principal.identity_id, "", session))
    return {"Credentials": render_credentials(key)}


def _federated_arn(call: Call) -> str:
    return f"arn:aws:sts::{call.account}:federated-user/{call.params['Name']}"


def _federation_token_accesses(_: Sts, call: Call) -> list[Access]:
    _check_long_lived(call)
    passed = read_passed(call.params)
    keys = passed.tag_keys()
    accesses = [Access("sts:TagSession", _federated_arn(call), keys)] if passed.tags else []
    return [*accesses, Access("sts:GetFederationToken", _federated_arn(call), keys)]


async def _get_federation_token(sts: Sts, call: Call) -> Result:
    principal, name = call.principal, call.params["Name"]
    passed = read_passed(call.params)
    await check_policy_arns(sts.directory, passed.policy_arns, principal.account)
    now = float(int(sts.clock()))
    session = Session(
        SessionKind.FEDERATION,
        name,
        now,
        now + _seconds(call),
        key_id=principal.key_id,
        policies=passed.policies,
        policy_arns=passed.policy_arns,
        tags=passed.tags,
    )
    subject = Subject(PrincipalKind.FEDERATED_USER, principal.account, principal.identity_id, "", session)
    return {
        "Credentials": render_credentials(sts.sessions.issue(subject)),
        "FederatedUser": {"FederatedUserId": f"{principal.account}:{name}", "Arn": _federated_arn(call)},
        **passed.shown(),
    }


ROWS: Final = (
    Row("GetSessionToken", _get_session_token, _session_token_accesses),
    Row("GetFederationToken", _get_federation_token, _federation_token_accesses),
)
