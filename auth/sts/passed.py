"""What a request passes to the session that it begins: session policies and session tags, and how large they are.

(IAM User Guide, "Session policies" and "Pass session tags in AWS STS".)
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth.access import Session, Value
from auth.directory import Directory
from auth.policy.document import Kind, PolicyMalformed, parse_policy
from auth.sts.call import invalid_value
from aws.errors import AwsError
from aws.validate import Constraint, Violation, report_all

PLAIN_LIMIT: Final = 2048
"""Characters of inline and managed session policies together."""
PACKED_LIMIT: Final = 4608
"""Bytes that policies and tags may take in a token: with them a token still fits into a header field."""
MAX_POLICIES: Final = 10
MAX_TAGS: Final = 50
_LONGEST_SHOWN: Final = 1024
Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """`tags` and `transitive` are the request's, `inherited` the transitive ones of the calling session."""

    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: Tags = ()
    transitive: tuple[str, ...] = ()
    inherited: Tags = ()

    @property
    def all_tags(self) -> Tags:
        return self.inherited + self.tags

    @property
    def all_transitive(self) -> tuple[str, ...]:
        return (*(key for key, _ in self.inherited), *self.transitive)

    @property
    def packed(self) -> int:
        """In percent of what there is room for, rounded up."""
        packed = json.dumps((self.policies, self.policy_arns, self.all_tags), separators=(",", ":")).encode()
        empty = len(b"[[],[],[]]")
        return -(-(len(packed) - empty) * 100 // PACKED_LIMIT)

    def shown(self) -> dict[str, int]:
        """PackedPolicySize, which AWS leaves out where nothing was passed."""
        return {"PackedPolicySize": self.packed} if self.policies or self.policy_arns or self.all_tags else {}

    def tag_keys(self) -> tuple[tuple[str, Value], ...]:
        """The context keys of the request's tags."""
        keys: list[tuple[str, Value]] = [(f"aws:RequestTag/{key}", value) for key, value in self.tags]
        if self.tags:
            keys.append(("aws:TagKeys", tuple(key for key, _ in self.tags)))
        if self.transitive:
            keys.append(("sts:TransitiveTagKeys", self.transitive))
        return tuple(keys)


NOTHING: Final = Passed()


def read_passed(params: Mapping[str, Any], *, caller: Session | None = None) -> Passed:
    """Of Policy, PolicyArns, Tags and TransitiveTagKeys. Raises AwsError."""
    policies = tuple(params[name] for name in ("Policy",) if name in params)
    for text in policies:
        _check_policy(text)
    arns = tuple(dict.fromkeys(one["arn"] for one in params.get("PolicyArns", ()) if "arn" in one))
    if len(arns) > MAX_POLICIES:
        raise _too_long("policyArns", f"[{', '.join(arns)}]", MAX_POLICIES)
    inherited = inherited_tags(caller)
    tags = read_tags(((tag["Key"], tag["Value"]) for tag in params.get("Tags", ())), inherited)
    transitive = read_transitive(params.get("TransitiveTagKeys", ()), tags)
    passed = Passed(policies, arns, tags, transitive, inherited)
    check_size(passed)
    return passed


def check_size(passed: Passed) -> None:
    """Raises AwsError (PackedPolicyTooLarge)."""
    plain = -(-sum(map(len, (*passed.policies, *passed.policy_arns))) * 100 // PLAIN_LIMIT)
    if plain > 100:
        raise _too_large(f"Packed policy consumes {plain}% of allotted space, please use smaller policy.")
    if passed.packed > 100:
        what = "policy" if passed.policies or passed.policy_arns else "size of session tags"
        hint = ", please use smaller policy." if what == "policy" else "."
        raise _too_large(f"Packed {what} consumes {passed.packed}% of allotted space{hint}")


def inherited_tags(caller: Session | None) -> Tags:
    """The transitive tags of the calling session, which the next one has, too."""
    if caller is None or not caller.transitive:
        return ()
    kept = {key.lower() for key in caller.transitive}
    return tuple((key, value) for key, value in caller.tags if key.lower() in kept)


def read_tags(given: Iterable[tuple[str, str]], inherited: Tags = ()) -> Tags:
    """Raises AwsError."""
    tags = tuple(given)
    lowered = [key.lower() for key, _ in tags]
    if len(set(lowered)) < len(lowered):
        raise invalid_value("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.startswith("aws:") for key in lowered):
        raise invalid_value("aws: prefixed tag key names are not allowed for external use.")
    if {key.lower() for key, _ in inherited} & set(lowered):
        raise invalid_value(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from "
            "the calling session."
        )
    if len(tags) + len(inherited) > MAX_TAGS:
        raise invalid_value(f"A session has at most {MAX_TAGS} tags.")
    return tags


def read_transitive(keys: Iterable[str], tags: Tags) -> tuple[str, ...]:
    """Raises AwsError."""
    found = tuple(dict.fromkeys(keys))
    known = {key.lower() for key, _ in tags}
    if any(key.lower() not in known for key in found):
        raise invalid_value("The specified transitive tag key must be included in the requested tags.")
    return found


async def check_policy_arns(directory: Directory, arns: Iterable[str], account: str) -> None:
    """Managed session policies exist, are AWS's or of the account whose permissions they limit, and hold what a session
    policy may. Raises AwsError."""
    for arn in arns:
        owner = arn.split(":", 5)[4] if arn.count(":") >= 5 else ""
        text = await directory.policy_text(arn) if owner in {"aws", account} else None
        if text is None:
            raise malformed(f"Policy {arn} does not exist or is not attachable.")
        _check_text(text)


def malformed(message: str) -> AwsError:
    return AwsError("MalformedPolicyDocumentException", message, status=400)


def _check_policy(text: str) -> None:
    if len(text) > PLAIN_LIMIT:
        raise _too_long("policy", text, PLAIN_LIMIT)
    _check_text(text)


def _check_text(text: str) -> None:
    try:
        parse_policy(text, Kind.SESSION)
    except PolicyMalformed as error:
        raise malformed(error.message) from error


def _too_long(path: str, value: str, limit: int) -> AwsError:
    """As of a bound that the model has not."""
    shown = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}..."
    return report_all([Violation(path, shown, (Constraint("length-most", str(limit)),))])


def _too_large(message: str) -> AwsError:
    return AwsError("PackedPolicyTooLargeException", message, status=400)
