"""A second evaluator of IAM policies, written from the IAM User Guide alone and knowing nothing of the engine.

It reads plain JSON documents each time it is asked, compiles nothing, and prefers the shortest code that says what a
page says. It is there to disagree.

A case is a dict, the form in which the vectors are written (`tests/vectors/policies`):
    principal   kind (a value of aws:PrincipalType), account, arn; identity_arn and identity_id, the unique id, of the
                user or role, of the one behind a session; provider, for somebody who comes with its token alone
    action, resource
    context     lower-case key -> a value, or a list of values
    policies    identity, boundary, session, repository, registry, trust: lists of documents, absent where there are
                none in force; controls: a list of such lists, the organisation's root first; owner: the account of the
                resource, where it is not the caller's; federated_without; anonymous_resource
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

Case = dict[str, Any]
Statement = dict[str, Any]
Context = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """`reason` in the words of the engine's Reason; `denied_by` names the kinds of policy that deny explicitly."""

    allowed: bool
    reason: str
    denied_by: frozenset[str] = frozenset()


ALLOWED = Answer(allowed=True, reason="allowed")


def refused(reason: str) -> Answer:
    return Answer(allowed=False, reason=reason)


# --- the decision ("Policy evaluation logic")


class Grant(IntEnum):
    """How far an Allow of a resource-based policy reaches in its own account, by the principal that it names
    ("Determining whether a request is allowed or denied within an account", the table of implicit denies)."""

    NOTHING = 0
    DELEGATED = 1  # the account: it is for identity-based policies to say who of it
    LIMITED = 2  # the role or user behind a session: its boundary and session policies still limit
    DIRECT = 3  # the caller itself: no implicit deny elsewhere counts


def evaluate(case: Case) -> Answer:
    caller, policies = case["principal"], case["policies"]
    kind = caller["kind"]
    own = policies.get("owner", "") in {"", caller["account"]}

    # an explicit deny in any policy overrides every allow
    if deniers := frozenset(name for name, documents in _in_force(policies) if _denies(case, documents)):
        return Answer(allowed=False, reason="explicit deny", denied_by=deniers)

    # service control policies: each level must allow, for the root user, too
    if not all(_allows(case, level) for level in policies.get("controls", [])):
        return refused("no service control policy allows")

    granted = max(_granted(case, policies.get(name) or []) for name in ("repository", "registry", "trust"))
    silent = refused(f"no {'role trust' if 'trust' in policies else 'resource-based'} policy allows")
    if kind == "Anonymous":
        return ALLOWED if granted else silent
    if own and "trust" in policies and not granted:
        return silent  # the one that must allow in its own account, too
    if own and granted is Grant.DIRECT:
        return ALLOWED
    if own and kind == "Account":
        return Answer(allowed=True, reason="root")

    # what the caller brings: the root user, whoever it federated, and whom a resource names need no identity-based policy
    identity = policies.get("identity")
    needs_identity = identity is not None and not (own and granted is Grant.LIMITED)
    if needs_identity and not _allows(case, identity):
        return refused("no identity-based policy allows")
    if "boundary" in policies and not _allows(case, policies["boundary"]):
        return refused("no permissions boundary allows")
    if "session" in policies and not _allows(case, policies["session"]):
        return refused("no session policy allows")
    if policies.get("federated_without"):
        return refused("no session policy allows")

    # across accounts both sides must allow
    return ALLOWED if own or granted else silent


def _in_force(policies: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name in ("identity", "repository", "registry", "trust", "boundary", "session"):
        yield name, policies.get(name) or []
    for level in policies.get("controls", []):
        yield "controls", level


def _statements(documents: list[Any]) -> Iterator[tuple[str, Statement]]:
    """(version of its document, statement)."""
    for document in documents:
        for statement in _list(document["Statement"]):
            yield document.get("Version", "2008-10-17"), statement


def _denies(case: Case, documents: list[Any]) -> bool:
    return any(_applies(case, version, it) for version, it in _statements(documents) if it["Effect"] == "Deny")


def _allows(case: Case, documents: list[Any]) -> bool:
    return any(_applies(case, version, it) for version, it in _statements(documents) if it["Effect"] == "Allow")


def _granted(case: Case, documents: list[Any]) -> Grant:
    """The farthest reach among the statements of a resource-based policy that allow."""
    reaches = [
        _reach(case, statement)
        for version, statement in _statements(documents)
        if statement["Effect"] == "Allow" and _applies(case, version, statement)
    ]
    return max(reaches, default=Grant.NOTHING)


# --- a statement


def _applies(case: Case, version: str, statement: Statement) -> bool:
    return (
        _principal_matches(case, statement)
        and _action_matches(case, statement)
        and _resource_matches(case, version, statement)
        and all(
            _condition_holds(operator, key, _list(wanted), case["context"], version)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _action_matches(case: Case, statement: Statement) -> bool:
    """Prefix and name without regard to case ("Action", "NotAction")."""
    action = case["action"].lower()
    names = _list(statement.get("Action", statement.get("NotAction")))
    return any(matches(_tokens(name.lower()), action) for name in names) == ("Action" in statement)


def _resource_matches(case: Case, version: str, statement: Statement) -> bool:
    """Without either element the policy's own resource is meant (repository and trust policies)."""
    if "Resource" not in statement and "NotResource" not in statement:
        return True
    texts = [_completed(it) for it in _list(statement.get("Resource", statement.get("NotResource")))]
    found = any(matches(_segmented(it), case["resource"]) for it in _patterns(texts, version, case["context"]))
    return found == ("Resource" in statement)


# --- principals ("Principal", "NotPrincipal")


def _root(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


def _named(element: Any) -> set[str]:
    """Whom an element names; an account id stands for the account's root."""
    if element == "*":
        return {"*"}
    names = _list(element.get("AWS", [])) + _list(element.get("Federated", []))
    return {_root(name) if re.fullmatch(r"\d{12}", name) else name for name in names}


def _itself(caller: dict[str, Any]) -> set[str]:
    """How a policy names the caller and nobody else. Stored policies name a user by its unique id."""
    return {caller["arn"], caller["identity_id"]} if caller["kind"] == "User" else {caller["arn"]}


def _behind(caller: dict[str, Any]) -> set[str]:
    """How a policy names the user or role whose session the caller is, or else the caller."""
    return {caller.get(name, caller["arn"]) for name in ("identity_arn", "identity_id")}


def _principal_matches(case: Case, statement: Statement) -> bool:
    caller, account = case["principal"], {_root(case["principal"]["account"])}
    if "NotPrincipal" in statement:
        if "boundary" in case["policies"]:
            return True  # NotPrincipal with Deny always denies whoever has a permissions boundary
        excepted = _named(statement["NotPrincipal"])
        # the account, the role and the session: each must be excepted
        return not ("*" in excepted or all(excepted & level for level in (_itself(caller), _behind(caller), account)))
    if "Principal" not in statement:
        return True  # an identity-based policy: whoever it is attached to
    named = _named(statement["Principal"])
    if "provider" in caller:  # everyone includes who comes with a token alone, but only its provider's name lets it in
        return caller["provider"] in named or ("*" in named and statement["Effect"] == "Deny")
    if caller["kind"] == "Anonymous":  # a registry's policies may be set to include them, a role's trust never
        return "*" in named and bool(case["policies"].get("anonymous_resource")) and "trust" not in case["policies"]
    return "*" in named or bool(named & (_itself(caller) | _behind(caller) | account))


def _reach(case: Case, statement: Statement) -> Grant:
    caller = case["principal"]
    named = _named(statement["Principal"])
    if named & _itself(caller) and caller["kind"] != "Account":  # the root user's ARN is the account's
        return Grant.DIRECT
    if "*" in named:
        # everyone: limited like a role, except where the condition names who it is
        keys = {key.lower() for block in statement.get("Condition", {}).values() for key in block}
        is_session = caller["kind"] in {"AssumedRole", "FederatedUser"}
        return Grant.LIMITED if is_session and "aws:principalarn" not in keys else Grant.DIRECT
    return Grant.LIMITED if named & _behind(caller) else Grant.DELEGATED


# --- patterns

Token = tuple[str, str]
"""("is", a character), ("any", "") for `*`, ("any in segment", ""), ("one", "") for `?`, ("one in segment", "")."""

ANY, ANY_IN_SEGMENT, ONE, ONE_IN_SEGMENT = ("any", ""), ("any in segment", ""), ("one", ""), ("one in segment", "")


def _tokens(text: str) -> list[Token]:
    return [ANY if it == "*" else ONE if it == "?" else ("is", it) for it in text]


def matches(pattern: list[Token], text: str) -> bool:
    """Walks through the pattern with the set of places in the text that it can have reached."""
    reached = {0}
    for token in pattern:
        if not reached:
            return False
        if token == ANY:
            reached = set(range(min(reached), len(text) + 1))
        elif token == ANY_IN_SEGMENT:
            reached = {end for start in reached for end in range(start, len(text) + 1) if ":" not in text[start:end]}
        elif token == ONE:
            reached = {place + 1 for place in reached if place < len(text)}
        elif token == ONE_IN_SEGMENT:
            reached = {place + 1 for place in reached if place < len(text) and text[place] != ":"}
        else:
            reached = {place + 1 for place in reached if text[place : place + 1] == token[1]}
    return len(text) in reached


def _completed(arn: str) -> str:
    """An ARN of fewer than six segments means every value of those that it lacks ("IAM identifiers", IAM ARNs)."""
    return arn + ":*" * (5 - arn.count(":")) if arn.startswith("arn:") else arn


def _segmented(pattern: list[Token]) -> list[Token]:
    """An ARN pattern: wildcards stay in their segment, but a `*` that ends one may go beyond its colon ("Resource").
    The sixth segment is the rest, colons and all."""
    found: list[Token] = []
    segment = 1
    for place, token in enumerate(pattern):
        following = pattern[place + 1 : place + 2]
        if segment < 6 and token == ONE:
            found.append(ONE_IN_SEGMENT)
        elif segment < 6 and token == ANY and following not in ([], [("is", ":")]):
            found.append(ANY_IN_SEGMENT)
        else:
            found.append(token)
        segment += token == ("is", ":")
    return found


def _patterns(texts: list[str], version: str, context: Context) -> list[list[Token]]:
    """The patterns with their variables replaced ("Variables and tags"). One with a variable that has no value is left
    out: null is equal to nothing and like nothing ("Policy variables with no value")."""
    found = [_substituted(text, version, context) for text in texts]
    return [pattern for pattern in found if pattern is not None]


def _substituted(text: str, version: str, context: Context) -> list[Token] | None:
    """Only version 2012-10-17 knows variables. What is put in is no pattern."""
    if version != "2012-10-17":
        return _tokens(text)
    found: list[Token] = []
    place = 0
    for variable in re.finditer(r"\$\{([^}]*)\}", text):
        value = _value(variable[1], context)
        if value is None:
            return None
        found += _tokens(text[place : variable.start()])
        found += [("is", it) for it in value]
        place = variable.end()
    return found + _tokens(text[place:])


def _value(variable: str, context: Context) -> str | None:
    if variable in {"*", "?", "$"}:
        return variable
    key, comma, default = variable.partition(",")
    value = context.get(key.strip().lower())
    if isinstance(value, str):  # a key with several values cannot be a variable
        return value
    return default.strip()[1:-1] if comma else None


# --- conditions ("Condition operators", "Conditions with multiple context keys or values")


def _same(wanted: list[Token], value: str) -> bool:
    """Equality with text that wildcards mean nothing in."""
    return "".join({"any": "*", "one": "?"}.get(kind, it) for kind, it in wanted) == value


def _arn_like(wanted: list[Token], value: str) -> bool:
    """Each of the six components is compared separately; the sixth holds whatever colons follow."""
    patterns: list[list[Token]] = [[]]
    for token in wanted:
        if token == ("is", ":") and len(patterns) < 6:
            patterns.append([])
        else:
            patterns[-1].append(token)
    values = value.split(":", 5)
    return len(patterns) == len(values) == 6 and all(map(matches, patterns, values))


def _number(text: str) -> Decimal | None:
    return Decimal(text) if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else None


def _moment(text: str) -> datetime | None:
    """ISO 8601 as the W3C profiles it, or seconds since the epoch; four digits are a year."""
    if re.fullmatch(r"-?\d+", text) and not re.fullmatch(r"\d{4}", text):
        return datetime.fromtimestamp(float(text), UTC)
    if re.fullmatch(r"\d{4}(-\d\d)?", text):
        text += "-01" if "-" in text else "-01-01"
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _in_network(wanted: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _both(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    """Compares (value, wanted) when both can be read; what cannot be read matches nothing."""

    def test(wanted: str, value: str) -> bool:
        left, right = read(value), read(wanted)
        return left is not None and right is not None and compare(left, right)

    return test


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda value, wanted: value == wanted,
    "LessThan": lambda value, wanted: value < wanted,
    "LessThanEquals": lambda value, wanted: value <= wanted,
    "GreaterThan": lambda value, wanted: value > wanted,
    "GreaterThanEquals": lambda value, wanted: value >= wanted,
}

# operator -> does `wanted`, of the policy, match `value`, of the request
PATTERN_OPERATORS: dict[str, Callable[[list[Token], str], bool]] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": lambda wanted, value: _same([(kind, it.lower()) for kind, it in wanted], value.lower()),
    "StringLike": matches,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
}
PLAIN_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    **{f"Numeric{name}": _both(_number, compare) for name, compare in COMPARISONS.items()},
    **{f"Date{name}": _both(_moment, compare) for name, compare in COMPARISONS.items()},
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
    "BinaryEquals": _both(_bytes, COMPARISONS["Equals"]),
    "IpAddress": _in_network,
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _condition_holds(written: str, key: str, wanted: list[Any], context: Context, version: str) -> bool:
    """One operator with one key."""
    quantifier, _, operator = written.rpartition(":")
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    negated = operator in NEGATED
    operator = NEGATED.get(operator, operator)
    texts = [str(it).lower() if isinstance(it, bool) else str(it) for it in wanted]
    values = context.get(key.lower())

    if operator == "Null":
        absent = values in (None, "", [])
        return any(text.lower() == str(absent).lower() for text in texts)
    if values is None:
        if if_exists:
            return True
        return {"ForAllValues": True, "ForAnyValue": False, "": negated}[quantifier]
    if quantifier and values == "":
        values = []  # an empty value is an empty set

    if operator in PATTERN_OPERATORS:
        patterns = _patterns(texts, version, context)

        def found(value: str) -> bool:
            return any(PATTERN_OPERATORS[operator](pattern, value) for pattern in patterns) != negated
    else:

        def found(value: str) -> bool:
            return any(PLAIN_OPERATORS[operator](text, value) for text in texts) != negated

    several = _list(values)
    if quantifier == "ForAllValues" or (negated and not quantifier):
        return all(map(found, several))
    return any(map(found, several))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
