"""Conditions: keys, operators and values, each by itself and together."""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

from auth.lint.coverage import Shape
from auth.lint.ground import Ground, found, listed
from auth.lint.keys import check_key
from auth.lint.reading import Asked, Part, Text
from auth.lint.rules import Finding
from auth.policy.catalogue import Action, Key
from auth.policy.conditions import (
    Family,
    Quantifier,
    read_binary,
    read_boolean,
    read_date,
    read_network,
    read_number,
)
from auth.policy.document import NAMES_PRINCIPALS
from auth.policy.patterns import SEGMENTS, Token, Wild, literal_tokens, plain_tokens, tokens
from auth.policy.variables import Variable, split

_TEXTUAL: Final = frozenset({Family.STRING, Family.STRING_ANY_CASE, Family.PATTERN})
_FIT: Final[Mapping[str, frozenset[Family]]] = {
    "String": _TEXTUAL,
    "ARN": frozenset({Family.ARN}) | _TEXTUAL,
    "Bool": frozenset({Family.BOOLEAN}),
    "Date": frozenset({Family.DATE}),
    "Numeric": frozenset({Family.NUMBER}),
    "IPAddress": frozenset({Family.ADDRESS}),
}
"""Type of a key -> what compares it as it is. Presence can be asked of every key."""
_INSTEAD: Final = {
    "String": "StringEquals or StringLike",
    "ARN": "ArnLike",
    "Bool": "Bool",
    "Date": "DateLessThan and the like",
    "Numeric": "NumericEquals and the like",
    "IPAddress": "IpAddress",
}
_READERS: Final[Mapping[Family, tuple[Callable[[str], Any], str]]] = {
    Family.NUMBER: (read_number, "number"),
    Family.DATE: (read_date, "date"),
    Family.BOOLEAN: (read_boolean, "boolean: true or false"),
    Family.BINARY: (read_binary, "base64"),
    Family.ADDRESS: (read_network, "address or network (10.0.0.0/8)"),
    Family.PRESENCE: (read_boolean, "boolean: true where the key is absent, false where it is there"),
}
_DIGITS: Final = "?" * 12
_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:principaltype": ("Account", "User", "FederatedUser", "AssumedRole", "Anonymous"),
    "aws:principalaccount": (_DIGITS,),
    "aws:resourceaccount": (_DIGITS,),
    "aws:sourceaccount": (_DIGITS,),
    "aws:principalorgid": ("o-*",),
    "aws:resourceorgid": ("o-*",),
    "aws:principalorgpaths": ("o-*/*",),
    "aws:principalarn": (
        "arn:*:iam::*:user/*", "arn:*:iam::*:role/*", "arn:*:iam::*:root", "arn:*:sts::*:federated-user/*",
    ),
    "aws:userid": ("AIDA*", "*:*", _DIGITS, "anonymous"),
    "aws:sourcevpc": ("vpc-*",),
    "aws:sourcevpce": ("vpce-*",),
    "ecr:accountsetting": ("BASIC_SCAN_TYPE_VERSION", "REGISTRY_POLICY_SCOPE", "BLOB_MOUNTING"),
    "iam:passedtoservice": ("*.*",),
}  # fmt: skip
"""What the values of some keys look like (IAM, "AWS global condition context keys")."""
_HINTS: Final = {
    "aws:principalarn": "of a session it is the role's ARN (arn:aws:iam::ACCOUNT:role/NAME), not the session's",
    "aws:userid": "of a session it is the role's id, a colon and the session's name",
    "aws:principalaccount": "an account has 12 digits",
    "aws:resourceaccount": "an account has 12 digits",
    "aws:sourceaccount": "an account has 12 digits",
    "aws:principalorgid": "an organisation's id begins with o-",
    "aws:resourceorgid": "an organisation's id begins with o-",
    "aws:principalorgpaths": "a path is o-ID/r-ID/ou-ID/ and so on",
    "iam:passedtoservice": "a service is named as in ecs-tasks.amazonaws.com",
}
_OF_MFA: Final = frozenset({"aws:multifactorauthpresent", "aws:multifactorauthage"})
_OF_TIME: Final = frozenset({"aws:currenttime", "aws:epochtime"})
_EARLIER: Final = frozenset({"LessThan", "LessThanEquals", "Equals"})
_OF_ACCOUNTS: Final = frozenset({"aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths"})


def check(part: Part, ground: Ground) -> Iterator[Finding]:
    """All that is to be said of a statement's conditions."""
    for at in part.empty:
        yield found("empty-condition", part, at, "a condition that asks for nothing holds for everything")
    present = {
        one.clause.key for one in part.asked
        if one.clause.operator.family is Family.PRESENCE and {value.text.lower() for value in one.values} == {"false"}
    }  # fmt: skip
    for asked in part.asked:
        key = ground.catalogue.key(asked.clause.name)
        yield from _check_key(part, asked, key, ground)
        yield from _check_operator(part, asked, key)
        yield from _check_values(part, asked, key, ground)
        yield from _check_absence(part, asked, key, certain=asked.clause.key in present)
        yield from _check_time(part, asked, ground)
        yield from _check_account(part, asked, ground)
    yield from _check_negations(part)
    yield from _check_together(part, ground)


# -- keys


def _check_key(part: Part, asked: Asked, key: Key | None, ground: Ground) -> Iterator[Finding]:
    name = asked.clause.name
    if key is None:
        problem = check_key(name, ground)
        if problem:
            yield found("unknown-key", part, asked.at, problem + _effect(asked))
        return
    if not key.everywhere:
        yield from _check_with_actions(part, asked, key, ground)
    stem = key.name.lower()
    if stem not in ground.given:
        message = f"no request to this server has {name}{_effect(asked)}"
        yield found("absent-key", part, asked.at, message)


def _check_with_actions(part: Part, asked: Asked, key: Key, ground: Ground) -> Iterator[Finding]:
    if not ground.is_known(part):
        return
    stem = key.name.lower()
    actions = ground.actions(part)
    without = [one for one in actions if stem not in one.keys and one.types is not None]
    if not without:
        return
    name = asked.clause.name
    if len(without) == len(actions):
        message = f"{_whose(without)} never has {name}{_effect(asked)}"
        yield found("unfit-key", part, asked.at, message)
        return
    named = {one.text.lower() for one in part.actions.values}
    plain = [one for one in without if one.full.lower() in named]
    if plain and _needs(asked):
        message = f"{_whose(plain)} never has {name}, so the statement is not about it"
        yield found("partly-unfit-key", part, asked.at, message)


def _whose(actions: Sequence[Action]) -> str:
    return listed([one.full for one in actions], 3)


def _needs(asked: Asked) -> bool:
    """Whether it can only hold where the key is there."""
    clause = asked.clause
    if clause.operator.family is Family.PRESENCE:
        return {one.text.lower() for one in asked.values} == {"false"}
    if clause.if_exists or clause.quantifier is Quantifier.ALL:
        return False
    return not clause.operator.negated or clause.quantifier is Quantifier.ANY


def _effect(asked: Asked) -> str:
    """What comes of a key that is never there."""
    return ", so the statement never matches" if _needs(asked) else ", so the condition always holds"


# -- operators


def _check_operator(part: Part, asked: Asked, key: Key | None) -> Iterator[Finding]:
    clause = asked.clause
    family = clause.operator.family
    if key is None or family is Family.PRESENCE:
        return
    # tags may hold ARNs, and seconds since the epoch are a number
    fits = family in _FIT[key.type] or (family is Family.ARN and key.tagged)
    if not fits and not (family is Family.NUMBER and clause.key == "aws:epochtime"):
        message = f"{clause.written} compares {family.value}, and {clause.name} is of the type {key.type}: use {_INSTEAD[key.type]}"
        yield found("unfit-operator", part, asked.operator_at, message)
    if clause.quantifier is not Quantifier.NONE and not key.several:
        message = f"{clause.name} has one value: {clause.quantifier.value} is for keys that have several"
        yield found("set-operator-on-single", part, asked.operator_at, message)
    if clause.quantifier is Quantifier.NONE and key.several:
        message = f"{clause.name} may have several values: say ForAnyValue: or ForAllValues:"
        yield found("several-without-set-operator", part, asked.operator_at, message)


def _check_absence(part: Part, asked: Asked, key: Key | None, *, certain: bool) -> Iterator[Finding]:
    """What the condition is where the key is absent. `certain`: another condition says that it is there."""
    clause = asked.clause
    always = key is not None and key.always
    plainly_negated = clause.operator.negated and clause.quantifier is Quantifier.NONE
    name = clause.name
    if clause.if_exists and (always or certain or plainly_negated):
        why = "it is true of an absent key as it is" if plainly_negated else f"{name} is always there"
        yield found(
            "if-exists-without-effect", part, asked.operator_at, f"IfExists of {clause.written} changes nothing: {why}"
        )
        return
    if always or certain or clause.operator.family is Family.PRESENCE:
        return
    if clause.quantifier is Quantifier.ALL:
        message = (
            f'{clause.written} holds where {name} is absent: add "Null": {{"{name}": "false"}} if it must be there'
        )
        yield found("all-of-none", part, asked.operator_at, message)
    elif part.allows and clause.if_exists:
        message = f"{clause.written} holds where {name} is absent, and then the statement allows"
        yield found("absence-allows", part, asked.operator_at, message)
    elif part.allows and plainly_negated:
        message = f"{clause.written} holds where {name} is absent, and then the statement allows"
        yield found("negation-allows", part, asked.operator_at, message)
    elif not (part.allows or clause.if_exists or clause.operator.negated) and clause.key in _OF_MFA:
        message = f"requests with long-term keys have no {name}, so this Deny spares them: use {clause.written}IfExists"
        yield found("absence-escapes", part, asked.operator_at, message)


# -- values


def _check_values(part: Part, asked: Asked, key: Key | None, ground: Ground) -> Iterator[Finding]:
    clause = asked.clause
    family = clause.operator.family
    for written in asked.values:
        text = written.text
        if "${" in text and ground.document.has_variables and family in _TEXTUAL | {Family.ARN}:
            text = "".join("*" if isinstance(one, Variable) and one.key else _plain(one) for one in split(text))
        elif "${" in text:
            continue  # said by the checks of variables
        problem = _value_problem(family, text)
        if problem:
            yield found(
                "unfit-value",
                part,
                written.at,
                f"{written.text!r} is no {problem}, so {clause.written} never matches it",
            )
        elif family in {Family.STRING, Family.STRING_ANY_CASE} and set(_without_variables(written.text)) & set("*?"):
            like = "StringNotLike" if clause.operator.negated else "StringLike"
            message = f"{clause.written} takes the wildcards of {written.text!r} for themselves: use {like}"
            yield found("wildcard-in-equals", part, written.at, message)
        elif family in _TEXTUAL | {Family.ARN} and key is not None and not _is_possible(clause.key, family, text):
            hint = _HINTS.get(clause.key, f"it is one of {', '.join(_FORMS[clause.key])}")
            yield found("impossible-value", part, written.at, f"{clause.name} is never {written.text!r}: {hint}")
        elif family is Family.ADDRESS and text.endswith("/0"):
            says = "leaves out every address" if clause.operator.negated else "is every address"
            yield found("every-address", part, written.at, f"{text} {says} of its version of IP")


def _plain(part: str | Variable) -> str:
    return part if isinstance(part, str) else part.default or ""


def _without_variables(text: str) -> str:
    return "".join(one for one in split(text) if isinstance(one, str))


def _value_problem(family: Family, text: str) -> str:
    if family is Family.ARN:
        return "" if text.count(":") >= SEGMENTS - 1 else "ARN of six parts"
    if family not in _READERS:
        return ""
    read, what = _READERS[family]
    return what if read(text) is None else ""


def _is_possible(key: str, family: Family, text: str) -> bool:
    forms = _FORMS.get(key)
    if forms is None:
        return True
    wild = family in {Family.PATTERN, Family.ARN} or "*" in text
    shape = Shape(_within_segments(text) if wild else (text,))
    return any(shape.meets(_form(form)) for form in forms)


def _within_segments(text: str) -> list[Token]:
    """No wildcard before the last segment of an ARN stands for a colon: where it is one, the key's value is, too."""
    if not text.startswith("arn:"):
        return [*plain_tokens(text)]
    found: list[Token] = []
    *segments, last = text.split(":", SEGMENTS - 1)
    for segment in segments:
        found += [_WITHIN.get(part, part) for part in plain_tokens(segment)]
        found.append(":")
    return [*found, *plain_tokens(last)]


_WITHIN: Final[Mapping[Token, Token]] = {Wild.MANY: Wild.MANY_WITHIN, Wild.ONE: Wild.ONE_WITHIN}


@cache
def _form(text: str) -> Shape:
    return Shape(_within_segments(text))


def _check_time(part: Part, asked: Asked, ground: Ground) -> Iterator[Finding]:
    clause = asked.clause
    if clause.key not in _OF_TIME or clause.operator.negated:
        return
    comparison = clause.operator.name.removeprefix("Date").removeprefix("Numeric")
    if comparison not in _EARLIER:
        return
    times = [_seconds(clause.operator.family, one.text) for one in asked.values]
    known = [one for one in times if one is not None]
    if known and len(known) == len(times) and max(known) < ground.now:
        message = f"{clause.written} {clause.name} {asked.values[0].text}: that is over, and the statement with it"
        yield found("expired", part, asked.at, message)


def _seconds(family: Family, text: str) -> float | None:
    if family is Family.DATE:
        read = read_date(text)
        return None if read is None else read / 1_000_000_000
    number = read_number(text) if family is Family.NUMBER else None
    return None if number is None else float(number)


def _check_account(part: Part, asked: Asked, ground: Ground) -> Iterator[Finding]:
    """aws:PrincipalArn with any account, in a policy that others' principals come to."""
    clause = asked.clause
    if clause.key != "aws:principalarn" or clause.operator.negated or ground.kind not in NAMES_PRINCIPALS:
        return
    if not part.allows or any(one.clause.key in _OF_ACCOUNTS for one in part.asked):
        return
    if not any(one.type in {"", "AWS"} and one.text == "*" for one in part.principals):
        return
    for written in asked.values:
        segments = written.text.split(":", SEGMENTS - 1)
        if len(segments) == SEGMENTS and set(segments[4]) & set("*?") and not segments[5].startswith("*"):
            message = f"every account can have a {segments[5]}: name the account, or ask for aws:PrincipalOrgID, too"
            yield found("name-in-any-account", part, written.at, message)


# -- several conditions


def _check_negations(part: Part) -> Iterator[Finding]:
    """Of a Deny: which requests escape it where several keys must all be other than wanted."""
    negated = [
        one for one in part.asked if one.clause.operator.negated and one.clause.quantifier is Quantifier.NONE
    ]  # fmt: skip
    if not part.allows and len({one.clause.key for one in negated}) > 1:
        names = " and ".join(dict.fromkeys(one.clause.name for one in negated))
        message = (
            f"all of these conditions must hold: a request of which {names} is as wanted, one of them, is not denied"
        )
        yield found("negations-together", part, negated[-1].at, message)


def _check_together(part: Part, ground: Ground) -> Iterator[Finding]:
    by_key: dict[str, list[Asked]] = {}
    for asked in part.asked:
        by_key.setdefault(asked.clause.key, []).append(asked)
        if not asked.values and _needs(asked):
            yield found(
                "contradiction", part, asked.at, f"{asked.clause.written} {asked.clause.name} has no value to match"
            )
    for several in by_key.values():
        if len(several) > 1:
            yield from _check_key_together(part, several, ground)


def _check_key_together(part: Part, several: Sequence[Asked], ground: Ground) -> Iterator[Finding]:
    name = several[0].clause.name
    last = several[-1]
    needing = [one for one in several if _needs(one)]
    absent = [
        one for one in several
        if one.clause.operator.family is Family.PRESENCE and {value.text.lower() for value in one.values} == {"true"}
    ]  # fmt: skip
    if absent and needing:
        other = next(one for one in needing if one not in absent)
        message = f"{name} must be absent, and {other.clause.written} needs it"
        yield found("contradiction", part, last.at, message)
        return
    key = ground.catalogue.key(name)
    if key is not None and key.several:
        return
    single = [one for one in several if one.clause.quantifier is Quantifier.NONE and one.values]
    for check_pair in (_exclusive_texts, _exclusive_booleans, _exclusive_addresses):
        for number, one in enumerate(single):
            for other in single[number + 1 :]:
                if (one in needing or other in needing) and check_pair(one, other, ground):
                    message = f"{one.clause.written} and {other.clause.written} leave {name} no value"
                    yield found("contradiction", part, other.at, message)
                    return
    if needing and _is_empty_range(single):
        yield found("contradiction", part, last.at, f"no value of {name} is within all of these limits")


def _exclusive_texts(one: Asked, other: Asked, ground: Ground) -> bool:
    """Whether no text is as both want it."""
    families = {one.clause.operator.family, other.clause.operator.family}
    if not families <= {Family.STRING, Family.PATTERN, Family.ARN}:
        return False
    first, second = ([_shape(value, asked, ground) for value in asked.values] for asked in (one, other))
    if len(first) * len(second) > 1_000 or not ground.budget.spend(len(first) * len(second)):
        return False
    if one.clause.operator.negated and other.clause.operator.negated:
        return False
    if one.clause.operator.negated or other.clause.operator.negated:
        wanted, refused = (second, first) if one.clause.operator.negated else (first, second)
        return all(any(wide.covers(narrow) for wide in refused) for narrow in wanted)
    return not any(left.meets(right) for left in first for right in second)


def _shape(value: Text, asked: Asked, ground: Ground) -> Shape:
    variables = ground.document.has_variables
    if asked.clause.operator.family is Family.STRING:
        return Shape(literal_tokens(value.text, variables=variables))
    return Shape(tokens(value.text, variables=variables))


def _exclusive_booleans(one: Asked, other: Asked, _: Ground) -> bool:
    if {one.clause.operator.family, other.clause.operator.family} != {Family.BOOLEAN}:
        return False
    return not {value.text.lower() for value in one.values} & {value.text.lower() for value in other.values}


def _exclusive_addresses(one: Asked, other: Asked, ground: Ground) -> bool:
    if {one.clause.operator.family, other.clause.operator.family} != {Family.ADDRESS}:
        return False
    if one.clause.operator.negated == other.clause.operator.negated:
        return False
    wanted, refused = (other, one) if one.clause.operator.negated else (one, other)
    networks = [_networks(wanted), _networks(refused)]
    if len(networks[0]) * len(networks[1]) > 1_000 or not ground.budget.spend(len(networks[0]) * len(networks[1])):
        return False
    return bool(networks[0]) and all(
        any(narrow.version == wide.version and narrow.subnet_of(wide) for wide in networks[1])  # type: ignore[arg-type]
        for narrow in networks[0]
    )


def _networks(asked: Asked) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(one.text, strict=False) for one in asked.values if read_network(one.text) is not None]


def _is_empty_range(several: Sequence[Asked]) -> bool:
    """Of numbers or dates: whether the lower limits are above the upper ones."""
    low: Decimal | None = None
    high: Decimal | None = None
    exact = True
    for asked in several:
        operator = asked.clause.operator
        if operator.family not in {Family.NUMBER, Family.DATE} or operator.negated:
            continue
        read = read_number if operator.family is Family.NUMBER else read_date
        values = [Decimal(one) for one in (read(value.text) for value in asked.values) if one is not None]
        if not values:
            continue
        comparison = operator.name.removeprefix("Date").removeprefix("Numeric")
        if not comparison.startswith("Less"):
            bound = min(values)
            if low is None or bound > low or (bound == low and comparison == "GreaterThan"):
                low, exact = bound, comparison != "GreaterThan"
        if not comparison.startswith("Greater"):
            bound = max(values)
            if high is None or bound < high:
                high = bound
                exact = exact and comparison != "LessThan"
    if low is None or high is None:
        return False
    return low > high or (low == high and not exact)
