"""The document as a whole."""

import re
from collections.abc import Iterator
from typing import Final

from auth.lint.ground import Ground, found
from auth.lint.reading import Document, Fault, Part, Span
from auth.lint.rules import Finding
from auth.policy.document import CURRENT_VERSION, Kind

_LONGEST: Final = {
    Kind.IDENTITY: 10_240,
    Kind.BOUNDARY: 6_144,
    Kind.SESSION: 2_048,
    Kind.CONTROL: 10_240,
    Kind.REPOSITORY: 10_240,
    Kind.REGISTRY: 10_240,
    Kind.TRUST: 2_048,
}
"""Characters, without white space (IAM and Organizations, "Quotas"). A role's inline policies are the longest of users,
groups and roles; a managed policy has 6,144."""
_SPACE: Final = re.compile(r"\s+")


def check(ground: Ground) -> Iterator[Finding]:
    """What the document says of itself."""
    document = ground.document
    for fault in document.faults:
        yield _malformed(document, fault)
    if not document.parts:
        return
    start = Span(document.start, document.start + 1)
    if document.version_at is None:
        message = f'without "Version": "{CURRENT_VERSION}" the document is of 2008-10-17, and ${{...}} is plain text'
        yield found("missing-version", None, start, message)
    elif document.version != CURRENT_VERSION:
        message = f"{document.version} is the old language, without variables: say {CURRENT_VERSION}"
        yield found("old-version", None, document.version_at, message)
    yield from _check_sids(document)
    length = len(_SPACE.sub("", document.text))
    longest = _LONGEST.get(ground.kind)
    if longest is not None and length > longest:
        message = f"{length:,} characters; the longest {ground.kind.value} has {longest:,}"
        yield found("too-long", None, start, message)
    yield from _check_lockout(ground)
    if ground.kind in _GRANTING and not any(part.allows for part in document.parts) and not document.faults:
        yield found(
            "allows-nothing",
            None,
            start,
            f"no statement of this {ground.kind.value} is an Allow: {_GRANTING[ground.kind]}",
        )


def _check_lockout(ground: Ground) -> Iterator[Finding]:
    for part in ground.document.parts:
        about_all = part.resources is None or (
            not part.resources.excluded and any(one.text == "*" for one in part.resources.values)
        )
        everything = not part.actions.excluded and any(
            one.text in {"*", "*:*"} or (ground.kind in _OF_ECR and one.text.lower() == "ecr:*")
            for one in part.actions.values
        )
        principals = part.compiled.principals
        everyone = principals is None or (principals.everyone and not principals.excluded)
        if not part.allows and about_all and everything and everyone and not part.asked:
            message = f"whatever else is allowed, this {ground.kind.value} leaves nobody anything"
            yield found("locks-everyone-out", part, part.at, message)


_OF_ECR: Final = frozenset({Kind.REPOSITORY, Kind.REGISTRY})
_GRANTING: Final = {
    Kind.BOUNDARY: "whoever has it as a boundary may do nothing",
    Kind.SESSION: "a session with it may do nothing",
    Kind.TRUST: "nobody may assume the role",
}


def _malformed(document: Document, fault: Fault) -> Finding:
    start = document.offset(fault.line, fault.column) if fault.line else document.start
    said = fault.detail or fault.message
    if fault.detail and fault.message not in said:
        said = f"{said} ({fault.message.rstrip('.')})"
    return found("malformed", None, Span(start, start + 1), said)


def _check_sids(document: Document) -> Iterator[Finding]:
    seen: dict[str, Part] = {}
    for part in document.parts:
        if part.sid is None or not part.sid.text:
            continue
        first = seen.setdefault(part.sid.text, part)
        if first is not part:
            message = f"the Sid {part.sid.text!r} is that of statement {first.number + 1}, too"
            yield found("duplicate-sid", part, part.sid.at, message)
