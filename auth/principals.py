"""Principals of resource-based policies as they are stored (IAM, "AWS JSON policy elements: Principal").

A policy that names a user or a role means that one, not whoever has its name later. So when it is written each such ARN
becomes the unique id (`AIDA..`, `AROA..`), which the evaluation compares with `Principal.identity_id`; an account's
number becomes its root's ARN. When the policy is shown ids become ARNs again; one whose user or role is gone shows as
what it is, an id. Sessions, `*`, services and identity providers stand as they were given.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from auth.directory import identity_arn
from auth.rows.accounts import has_account
from auth.rows.principals import Named, find_principals, has_principal, read_principal
from store.database import Database, Unit

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_IDENTIFIER: Final = re.compile(r"A(?:IDA|ROA)[A-Z0-9]{17}")
_ROOT: Final = re.compile(r"arn:aws:iam::([0-9]{12}):root")
_IDENTITY: Final = re.compile(r"arn:aws:iam::([0-9]{12}):(user|role)(/(?:[!-~]+/)?)([\w+=,.@-]+)", re.ASCII)
_SESSION: Final = re.compile(
    r"arn:aws:sts::([0-9]{12}):(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+)", re.ASCII
)


class PrincipalInvalid(ValueError):
    """A policy names an account, user or role that is not there; the message is AWS's."""

    def __init__(self, principal: str) -> None:
        super().__init__(f'Invalid principal in policy: "AWS":"{principal}"')


def bind_principals(text: str) -> Unit[str]:
    """The stored form of a policy that `parse_policy` found good: compact JSON. Raises PrincipalInvalid."""
    document = json.loads(text)
    stored: dict[str, str] = {}
    for named in dict.fromkeys(_named(document)):
        stored[named] = yield from _bind(named)
    return _compact(_replaced(document, lambda named: stored[named]))


async def show_principals(database: Database, texts: Sequence[str]) -> list[str]:
    """Stored policies as they are shown."""
    documents = [json.loads(text) for text in texts]
    identifiers = {named for document in documents for named in _named(document) if _IDENTIFIER.fullmatch(named)}
    if not identifiers:
        return list(texts)
    known = await find_principals(database, sorted(identifiers))
    return [_compact(_replaced(document, lambda named: _shown(known, named))) for document in documents]


def _bind(named: str) -> Unit[str]:
    if named == "*":
        return named
    if _IDENTIFIER.fullmatch(named):
        there = yield from has_principal(named)
    elif parts := _IDENTITY.fullmatch(named):
        account, kind, path, name = parts.groups()
        identifier = yield from read_principal(kind, account, path, name)
        named, there = identifier or named, identifier is not None
    elif _ACCOUNT.fullmatch(named):
        there = yield from has_account(named)
        named = f"arn:aws:iam::{named}:root" if there else named
    else:
        parts = _ROOT.fullmatch(named) or _SESSION.fullmatch(named)
        there = parts is not None and (yield from has_account(parts[1]))
    if not there:
        raise PrincipalInvalid(named)
    return named


def _shown(known: dict[str, Named], named: str) -> str:
    found = known.get(named)
    return named if found is None else identity_arn(found.kind, found.account, found.path, found.name)


def _elements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each Principal and NotPrincipal that names AWS principals."""
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            value = statement.get(element)
            if isinstance(value, dict) and "AWS" in value:
                yield value


def _named(document: dict[str, Any]) -> Iterator[str]:
    for element in _elements(document):
        value = element["AWS"]
        yield from [value] if isinstance(value, str) else value


def _replaced(document: dict[str, Any], replace: Callable[[str], str]) -> dict[str, Any]:
    """The document itself, changed."""
    for element in _elements(document):
        value = element["AWS"]
        element["AWS"] = replace(value) if isinstance(value, str) else [replace(one) for one in value]
    return document


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
