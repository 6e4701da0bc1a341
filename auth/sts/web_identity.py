"""AssumeRoleWithWebIdentity: a role for whoever an OpenID Connect issuer vouches for. The request itself is not signed."""

from typing import Final

from auth.access import ANONYMOUS, Principal, PrincipalKind, Session, SessionKind, Value
from auth.authorize import circumstances_of
from auth.issuers import IssuerMalformed, IssuerUnreachable
from auth.resources import find_role
from auth.rows.providers import StoredProvider, find_provider
from auth.sts.call import Call, Result, Row, Sts, denied, nothing, render_credentials, validation
from auth.sts.passed import Passed, check_policy_arns, check_size, read_passed, read_tags, read_transitive
from auth.sts.roles import (
    DEFAULT_SECONDS,
    assuming,
    check_duration,
    check_role_arn,
    issue_role_session,
    render_assumed,
)
from auth.web_identity import (
    ClaimRejected,
    IdentityToken,
    IdentityTokenExpired,
    IdentityTokenInvalid,
    WebIdentity,
    check_claims,
    read_token,
    verify,
)
from aws.errors import AwsError

_NO_KEY: Final = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity "
    "documentation for requirements"
)


async def _assume_role_with_web_identity(sts: Sts, call: Call) -> Result:
    """Its leave depends on the token, so the gate is asked here and not by the dispatcher."""
    params = call.params
    arn, name = params["RoleArn"], params["RoleSessionName"]
    check_role_arn(arn)
    if "ProviderId" in params:
        raise validation("ProviderId is for OAuth 2.0 access tokens, which this server does not take.")
    passed = read_passed(params)
    provider, identity = await _identify(sts, params["WebIdentityToken"], arn.split(":")[4])
    tags = read_tags(identity.tags)
    passed = Passed(passed.policies, passed.policy_arns, tags, read_transitive(identity.transitive, tags))
    check_size(passed)
    keys: tuple[tuple[str, Value], ...] = (
        *identity.keys,
        ("aws:FederatedProvider", provider.arn),
        ("sts:RoleSessionName", name),
    )
    decision = await sts.gate.decide(
        _caller(sts, provider, identity),
        assuming("AssumeRoleWithWebIdentity", arn, passed, keys, source_identity=identity.source_identity),
        circumstances_of(call),
    )
    role = await find_role(sts.directory, arn)
    if role is None or not decision.allowed:
        action = decision.refused.action if decision.refused is not None else "sts:AssumeRoleWithWebIdentity"
        raise denied(f"Not authorized to perform {action}")
    seconds = params.get("DurationSeconds", DEFAULT_SECONDS)
    check_duration(seconds, role, chained=False)
    await check_policy_arns(sts.directory, passed.policy_arns, role.account)
    key = issue_role_session(
        sts.sessions,
        sts.clock,
        role,
        name,
        seconds=seconds,
        passed=passed,
        kind=SessionKind.WEB_IDENTITY,
        source_identity=identity.source_identity,
        provider=provider.arn,
        claims=identity.lasting,
    )
    result = {
        "Credentials": render_credentials(key),
        "AssumedRoleUser": render_assumed(role, name),
        "SubjectFromWebIdentityToken": identity.subject,
        "Audience": identity.audience,
        "Provider": provider.arn,
        **passed.shown(),
    }
    return {**result, "SourceIdentity": identity.source_identity} if identity.source_identity else result


async def _identify(sts: Sts, text: str, account: str) -> tuple[StoredProvider, WebIdentity]:
    """The signature comes last: what can be refused without asking the issuer for its keys is. Raises AwsError."""
    try:
        token = read_token(text)
        provider = await _provider_of(sts, token, account)
        identity = check_claims(token, provider.client_ids, sts.clock())
        await _check_signature(sts, token)
    except IdentityTokenInvalid as error:
        raise AwsError("InvalidIdentityTokenException", str(error), status=400) from error
    except IdentityTokenExpired as error:
        raise AwsError("ExpiredTokenException", str(error), status=400) from error
    except ClaimRejected as error:
        raise AwsError("IDPRejectedClaimException", str(error), status=403) from error
    except IssuerUnreachable as error:
        raise AwsError(
            "IDPCommunicationErrorException", "The identity provider does not answer.", status=400
        ) from error
    return provider, identity


async def _provider_of(sts: Sts, token: IdentityToken, account: str) -> StoredProvider:
    """Raises IdentityTokenInvalid."""
    provider = await find_provider(sts.database, account, token.issuer)
    if provider is None:
        raise IdentityTokenInvalid(f"No OpenIDConnect provider found in your account for {token.issuer}")
    return provider


async def _check_signature(sts: Sts, token: IdentityToken) -> None:
    """Raises IdentityTokenInvalid, IssuerUnreachable."""
    try:
        keys = await sts.issuers.keys(token.issuer, token.key_id)
    except IssuerMalformed as error:
        raise IdentityTokenInvalid(_NO_KEY) from error
    if not keys:
        raise IdentityTokenInvalid(_NO_KEY)
    if not verify(token, keys):
        raise IdentityTokenInvalid("Invalid token signature")


def _caller(sts: Sts, provider: StoredProvider, identity: WebIdentity) -> Principal:
    """Somebody without credentials, vouched for by a provider: the trust policy names that as Federated."""
    now = sts.clock()
    issuer = provider.url.partition("://")[2]
    return Principal(
        PrincipalKind.ANONYMOUS,
        "",
        ANONYMOUS.arn,
        f"{issuer}:{identity.audience}:{identity.subject}",
        session=Session(SessionKind.WEB_IDENTITY, "", now, now, provider=provider.arn),
    )


ROWS: Final = (Row("AssumeRoleWithWebIdentity", _assume_role_with_web_identity, nothing, signed=False),)
