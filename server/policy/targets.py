"""What a policy is put on, as people write it on the command line."""

import argparse
import re
from typing import Final

from auth.access import PrincipalKind
from auth.audit.replay import Target
from auth.policy.document import Kind

FORMS: Final = (
    "everyone, user/NAME, role/NAME (or an ARN of these); boundary:user/NAME, boundary:role/NAME; repository/NAME or its "
    "ARN; registry, registry/ACCOUNT; account/ID or organization (a service control policy); trust:role/NAME"
)
_PRINCIPALS: Final = {"user": PrincipalKind.USER, "role": PrincipalKind.ROLE_SESSION}
_IDENTITY: Final = re.compile(r"arn:[^:]*:(?:iam|sts)::[^:]*:(user|role|assumed-role|federated-user)/.+")
_ROLE: Final = re.compile(r"role/(.+)|(arn:[^:]*:iam::[^:]*:role/.+)")


def parse_target(text: str) -> Target:
    """One of FORMS; names may hold `*` and `?`. Raises argparse.ArgumentTypeError."""
    found = _parse(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"`{text}` is nothing that a policy can be put on: say {FORMS}")
    return found


def _parse(text: str) -> Target | None:
    qualifier, _, rest = text.partition(":")
    if qualifier == "boundary":
        return _parse_identity(rest, Kind.BOUNDARY)
    if qualifier == "trust":
        match = _ROLE.fullmatch(rest)
        return Target(Kind.TRUST, match[1] or match[2]) if match else None
    if text == "everyone":
        return Target(Kind.IDENTITY)
    if text == "registry":
        return Target(Kind.REGISTRY)
    if text == "organization":
        return Target(Kind.CONTROL)
    if ":repository/" in text and text.startswith("arn:"):
        return Target(Kind.REPOSITORY, text)
    kind, _, name = text.partition("/")
    kinds = {"repository": Kind.REPOSITORY, "registry": Kind.REGISTRY, "account": Kind.CONTROL}
    if kind in kinds:
        return Target(kinds[kind], name) if name else None
    return _parse_identity(text, Kind.IDENTITY)


def _parse_identity(text: str, kind: Kind) -> Target | None:
    if text == "everyone":
        return Target(kind)
    match = _IDENTITY.fullmatch(text)
    if match:
        of_user = match[1] in {"user", "federated-user"}
        return Target(kind, text, PrincipalKind.USER if of_user else PrincipalKind.ROLE_SESSION)
    word, _, name = text.partition("/")
    return Target(kind, name, _PRINCIPALS[word]) if word in _PRINCIPALS and name else None
