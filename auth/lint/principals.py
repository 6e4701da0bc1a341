"""Principals of resource-based policies."""

import re
from collections.abc import Iterator
from typing import Final

from auth.lint.ground import Ground, found, listed
from auth.lint.reading import Named, Part
from auth.lint.rules import Finding
from auth.policy.conditions import Family
from auth.policy.document import Kind
from auth.policy.patterns import compile_match, plain_tokens

_NARROWING: Final = frozenset(
    {
        "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:userid",
        "aws:username", "aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcearn", "aws:sourceaccount",
        "aws:sourceorgid", "aws:vpcsourceip",
    }
)  # fmt: skip
"""Conditions that say who, or from where."""
_ACCOUNT: Final = re.compile(r"[0-9]{12}|arn:[^:]*:iam::([0-9]{12}):root", re.ASCII)
_ROLES: Final = ("sts:AssumeRole",)
_BY_TYPE: Final = {
    "AWS": _ROLES,
    "": _ROLES,
    "Service": _ROLES,
    "OIDC": ("sts:AssumeRoleWithWebIdentity",),
    "SAML": ("sts:AssumeRoleWithSAML",),
}
_BESIDE: Final = ("sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext")
"""Actions that go with every way to assume a role."""


def check(part: Part, ground: Ground) -> Iterator[Finding]:
    """All that is to be said of a statement's principals."""
    if part.principal_at is None:
        return
    principals = part.compiled.principals
    if principals is not None and principals.excluded:
        yield from _check_excluded(part)
        return
    if part.allows:
        yield from _check_everyone(part, ground)
    yield from _check_fit(part, ground)
    if ground.kind is Kind.TRUST and part.allows:
        yield from _check_subject(part)


def _check_excluded(part: Part) -> Iterator[Finding]:
    accounts = {match[1] or match[0] for one in part.principals if (match := _ACCOUNT.fullmatch(one.text))}
    named = [one.text for one in part.principals if one.text.count(":") >= 5 and not _ACCOUNT.fullmatch(one.text)]
    lonely = [one for one in named if one.split(":")[4] not in accounts]
    message = (
        "whoever has a permissions boundary is never left out, and sessions need account, role and session in the list"
    )
    if lonely:
        message = f"{listed(lonely, 2)} is not left out unless its account is in the list, too"
    assert part.principal_at is not None
    advice = "; better: Principal * with ArnNotEquals on aws:PrincipalArn"
    yield found("not-principal", part, part.principal_at, message + advice)


def _check_everyone(part: Part, ground: Ground) -> Iterator[Finding]:
    narrowed = any(
        (one.clause.key in _NARROWING or one.clause.key.startswith("aws:principaltag/"))
        and not one.clause.operator.negated
        and not one.clause.if_exists
        and one.clause.operator.family is not Family.PRESENCE
        for one in part.asked
    )
    for one in part.principals:
        if one.text == "*" and not narrowed:
            message = "the principal * is every principal of every account, and no condition narrows it"
            yield found("everyone", part, one.at, message)
        elif _ACCOUNT.fullmatch(one.text) and ground.kind is not Kind.TRUST:
            message = f"{one.text} is the whole account: who of it may is for its own policies to say"
            yield found("whole-account", part, one.at, message)


def _type(principal: Named) -> str:
    if principal.type != "Federated":
        return principal.type
    return "SAML" if ":saml-provider/" in principal.text else "OIDC"


def _check_fit(part: Part, ground: Ground) -> Iterator[Finding]:
    if ground.kind is not Kind.TRUST:
        for one in part.principals:
            if one.type in {"Federated", "CanonicalUser"}:
                message = f"a principal of the type {one.type} never asks for actions of ecr"
                yield found("unfit-principal", part, one.at, message)
        return
    types = {_type(one) for one in part.principals}
    if part.actions.excluded:
        return
    for principal in part.principals:
        fitting = (*_BY_TYPE.get(_type(principal), ()), *_BESIDE)
        if not any(_matches(one.text, action) for one in part.actions.values for action in fitting):
            way = _BY_TYPE.get(_type(principal), ("no action",))[0]
            message = f"{principal.text} comes by {way}, which is none of the statement's actions"
            yield found("unfit-principal", part, principal.at, message)
    fit = {action for kind in types for action in (*_BY_TYPE.get(kind, ()), *_BESIDE)}
    for written in part.actions.values:
        if not any(_matches(written.text, action) for action in fit):
            message = f"none of the principals comes by {written.text}"
            yield found("unfit-principal", part, written.at, message)


def _matches(pattern: str, action: str) -> bool:
    return compile_match(plain_tokens(pattern.lower()))(action.lower())


def _check_subject(part: Part) -> Iterator[Finding]:
    for principal in part.principals:
        if _type(principal) != "OIDC":
            continue
        provider = principal.text.partition(":oidc-provider/")[2] or principal.text
        claims = [
            one for one in part.asked
            if one.clause.key.startswith(f"{provider.lower()}:") and not one.clause.key.endswith((":aud", ":oaud"))
            and not one.clause.operator.negated and not one.clause.if_exists
            and not all(_says_nothing(value.text) for value in one.values)
        ]  # fmt: skip
        if not claims:
            message = f"no condition says whose tokens of {provider} are taken: ask for {provider}:sub"
            yield found("any-subject", part, principal.at, message)


def _says_nothing(subject: str) -> bool:
    """Whether a pattern of subjects is for everyone (`*`, and `repo:*` of GitHub)."""
    return subject.rstrip("*?") in {"", "repo:"} and subject != ""
