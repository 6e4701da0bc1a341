"""Conditions (IAM User Guide, "JSON policy elements: Condition operators", "Single-valued vs. multivalued context keys").

A clause is one operator, one key and its values; all clauses of a statement must hold. A value that cannot be read as
the operator's type, on either side, matches nothing.
"""

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias

from auth.access import Value
from auth.policy.patterns import (
    Fixed,
    Match,
    Token,
    any_of,
    compile_arn,
    compile_match,
    cost_of,
    is_fixed,
    literal_tokens,
    resolve,
    tokens,
)
from auth.policy.variables import Context, Variable

Holds: TypeAlias = Callable[[Context], bool]


class Family(Enum):
    """What an operator compares."""

    STRING = "strings"
    STRING_ANY_CASE = "strings in any case"
    PATTERN = "strings with wildcards"
    ARN = "ARNs"
    NUMBER = "numbers"
    DATE = "dates"
    BOOLEAN = "booleans"
    BINARY = "binary values"
    ADDRESS = "addresses"
    PRESENCE = "presence"


class Quantifier(Enum):
    """How the values of a multivalued key count."""

    NONE = ""
    ALL = "ForAllValues:"
    ANY = "ForAnyValue:"


@dataclass(frozen=True, slots=True)
class Operator:
    """`name` without quantifier and IfExists. `compare(request's, policy's)` is for numbers and dates."""

    name: str
    family: Family
    negated: bool = False
    compare: Callable[[Any, Any], bool] = operator.eq


def _ordered(prefix: str, family: Family) -> list[Operator]:
    return [
        Operator(prefix + "Equals", family),
        Operator(prefix + "NotEquals", family, negated=True),
        Operator(prefix + "LessThan", family, compare=operator.lt),
        Operator(prefix + "LessThanEquals", family, compare=operator.le),
        Operator(prefix + "GreaterThan", family, compare=operator.gt),
        Operator(prefix + "GreaterThanEquals", family, compare=operator.ge),
    ]


OPERATORS = {
    known.name: known
    for known in [
        Operator("StringEquals", Family.STRING),
        Operator("StringNotEquals", Family.STRING, negated=True),
        Operator("StringEqualsIgnoreCase", Family.STRING_ANY_CASE),
        Operator("StringNotEqualsIgnoreCase", Family.STRING_ANY_CASE, negated=True),
        Operator("StringLike", Family.PATTERN),
        Operator("StringNotLike", Family.PATTERN, negated=True),
        *_ordered("Numeric", Family.NUMBER),
        *_ordered("Date", Family.DATE),
        Operator("Bool", Family.BOOLEAN),
        Operator("BinaryEquals", Family.BINARY),
        Operator("IpAddress", Family.ADDRESS),
        Operator("NotIpAddress", Family.ADDRESS, negated=True),
        Operator("ArnEquals", Family.ARN),
        Operator("ArnLike", Family.ARN),
        Operator("ArnNotEquals", Family.ARN, negated=True),
        Operator("ArnNotLike", Family.ARN, negated=True),
        Operator("Null", Family.PRESENCE),
    ]
}

_IF_EXISTS = "IfExists"


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """`written` is the operator as in the policy (`ForAnyValue:StringLikeIfExists`), `name` the key so, `key` the key in
    lower case. `variables` are those of the values."""

    written: str
    operator: Operator
    quantifier: Quantifier
    if_exists: bool
    name: str
    key: str
    values: tuple[str, ...]
    variables: tuple[Variable, ...]
    holds: Holds

    @property
    def cost(self) -> int:
        taken_apart = _TEXTS.get(self.operator.family)
        return 0 if taken_apart is None else cost_of(taken_apart[0](value, variables=True) for value in self.values)


def find_operator(written: str) -> tuple[Operator, Quantifier, bool] | None:
    """The operator, its quantifier and whether IfExists follows, or None where there is no such."""
    name, quantifier = written, Quantifier.NONE
    for prefix in (Quantifier.ALL, Quantifier.ANY):
        if name.startswith(prefix.value):
            name, quantifier = name.removeprefix(prefix.value), prefix
            break
    if_exists = name.endswith(_IF_EXISTS)
    found = OPERATORS.get(name.removesuffix(_IF_EXISTS))
    if found is None or (found.family is Family.PRESENCE and (if_exists or quantifier is not Quantifier.NONE)):
        return None
    return found, quantifier, if_exists


def compile_clause(written: str, name: str, values: Sequence[str], *, variables: bool) -> Clause:
    """Raises ValueError for an operator that does not exist. `variables`: whether the document's version has them."""
    found = find_operator(written)
    if found is None:
        raise ValueError(f"{written!r} is no condition operator")
    known, quantifier, if_exists = found
    key = name.lower()
    used: tuple[Variable, ...] = ()
    if known.family is Family.PRESENCE:
        holds = _presence(key, values)
    elif known.family in _TEXTS:
        holds, used = _compile_texts(known, values, variables, key, quantifier, if_exists)
    else:
        match = _COMPILERS[known.family](known, values)
        holds = _quantified(key, match, known, quantifier, if_exists)
    return Clause(written, known, quantifier, if_exists, name, key, tuple(values), used, holds)


def all_of(conditions: Sequence[Holds]) -> Holds | None:
    """Whether all hold; None of none."""
    match conditions:
        case []:
            return None
        case [only]:
            return only
        case [first, second]:
            return lambda context: first(context) and second(context)

    def holds(context: Context) -> bool:
        return all(one(context) for one in conditions)

    return holds


def _presence(key: str, values: Sequence[str]) -> Holds:
    wanted = {value.lower() for value in values}
    return lambda context: ("false" if context.get(key) else "true") in wanted


def _quantified(key: str, match: Match, known: Operator, quantifier: Quantifier, if_exists: bool) -> Holds:
    """`match` is from one value of the request to whether it matches some value of the policy."""
    negated = known.negated
    if quantifier is Quantifier.ALL:

        def holds(context: Context) -> bool:
            return all(match(one) is not negated for one in _several(context.get(key)))

    elif quantifier is Quantifier.ANY:

        def holds(context: Context) -> bool:
            value = context.get(key)
            if value is None:
                return if_exists
            return any(match(one) is not negated for one in _several(value))

    elif negated:

        def holds(context: Context) -> bool:
            value = context.get(key)
            if isinstance(value, str):
                return not match(value)
            return not value or not any(map(match, value))

    else:

        def holds(context: Context) -> bool:
            value = context.get(key)
            if isinstance(value, str):
                return match(value)
            return if_exists if value is None else any(map(match, value))

    return holds


def _several(value: Value | None) -> tuple[str, ...]:
    """The values of a multivalued key. An empty text alone is no value."""
    if isinstance(value, str):
        value = (value,)
    return () if value is None or value == ("",) else value


def _compile_texts(
    known: Operator, values: Sequence[str], variables: bool, key: str, quantifier: Quantifier, if_exists: bool
) -> tuple[Holds, tuple[Variable, ...]]:
    """What compares texts, whose values may have variables. One that has a variable without a text is null: nothing is
    equal to it or like it ("Policy variables with no value")."""
    taken_apart, compile_all = _TEXTS[known.family]
    patterns = [taken_apart(value, variables=variables) for value in values]
    used = tuple(part for pattern in patterns for part in pattern if isinstance(part, Variable))
    fixed = [pattern for pattern in patterns if is_fixed(pattern)]
    if len(fixed) == len(patterns):
        return _quantified(key, compile_all(fixed), known, quantifier, if_exists), ()

    def holds(context: Context) -> bool:
        resolved = [one for one in (resolve(pattern, context) for pattern in patterns) if one is not None]
        return _quantified(key, compile_all(resolved), known, quantifier, if_exists)(context)

    return holds, used


def _compile_equal(patterns: Iterable[Sequence[Fixed]]) -> Match:
    return frozenset("".join(map(str, pattern)) for pattern in patterns).__contains__


def _compile_equal_any_case(patterns: Iterable[Sequence[Fixed]]) -> Match:
    wanted = frozenset("".join(map(str, pattern)).casefold() for pattern in patterns)
    return lambda text: text.casefold() in wanted


def _compile_like(patterns: Iterable[Sequence[Fixed]]) -> Match:
    return any_of([compile_match(pattern) for pattern in patterns])


def _compile_arns(patterns: Iterable[Sequence[Fixed]]) -> Match:
    return any_of([compile_arn(pattern) for pattern in patterns])


_TEXTS: dict[Family, tuple[Callable[..., tuple[Token, ...]], Callable[[Iterable[Sequence[Fixed]]], Match]]] = {
    Family.STRING: (literal_tokens, _compile_equal),
    Family.STRING_ANY_CASE: (literal_tokens, _compile_equal_any_case),
    Family.PATTERN: (tokens, _compile_like),
    Family.ARN: (tokens, _compile_arns),
}
"""How a value is taken apart, and what compares with all of them."""


def _compile_read(read: Callable[[str], Any]) -> Callable[[Operator, Sequence[str]], Match]:
    """Both sides are read, and compared as the operator does."""

    def compile_values(known: Operator, values: Sequence[str]) -> Match:
        wanted = [value for value in map(read, values) if value is not None]
        compare = known.compare

        def match(text: str) -> bool:
            given = read(text)
            return given is not None and any(compare(given, value) for value in wanted)

        return match

    return compile_values


_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def read_number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


_DATE = re.compile(
    r"(?P<year>-?[0-9]{1,9})(?:-(?P<month>[0-9]{1,2})(?:-(?P<day>[0-9]{1,2}))?)?"
    r"(?:t(?:(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{1,2})(?::(?P<second>[0-9]{1,2})(?:\.(?P<fraction>[0-9]{1,9}))?)?)?)?"
    r"(?P<zone>z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)
_LATEST = 1 << 63
_YEARS = range(-292275054, 292278994)
_WHOLE_SECOND = 1_000_000_000


@lru_cache(1024)
def read_date(text: str) -> int | None:
    """Nanoseconds since the epoch, from seconds since then or from ISO 8601, of which IAM takes every shortened form: four
    digits are a year."""
    if len(text) != 4 and text.isascii() and text.isdecimal():
        seconds = int(text) if len(text) < 20 else _LATEST
        return seconds * _WHOLE_SECOND if seconds < _LATEST else None
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = int(found["year"]), int(found["month"] or 1), int(found["day"] or 1)
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    if year not in _YEARS or not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return None
    offset = _zone(found["zone"] or "z")
    if offset is None:
        return None
    total = ((_days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second
    return total * _WHOLE_SECOND + int((found["fraction"] or "0").ljust(9, "0"))


def _zone(text: str) -> int | None:
    """Minutes east of Greenwich."""
    if text in {"z", "Z"}:
        return 0
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)


def _days(year: int, month: int, day: int) -> int:
    """Since 1970-01-01 in the Gregorian calendar, which Python's dates know for the years 1 to 9999 only."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def read_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def read_binary(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


@lru_cache(1024)
def read_address(text: str) -> tuple[int, int] | None:
    """Version and number. An IPv4 address in IPv6's clothes is the IPv4 address."""
    four = _FOUR.fullmatch(text)
    if four is not None:
        a, b, c, d = map(int, four.groups())
        number = a << 24 | b << 16 | c << 8 | d
        return (4, number) if a < 256 and b < 256 and c < 256 and d < 256 else None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    if address.scope_id is not None:
        return None
    mapped = address.ipv4_mapped
    return (6, int(address)) if mapped is None else (4, int(mapped))


_FOUR = re.compile(r"(0|[1-9][0-9]{0,2})" + r"\.(0|[1-9][0-9]{0,2})" * 3, re.ASCII)
_NETWORK = re.compile(r"[0-9a-fA-F:.]{2,45}(?:/[0-9]{1,3})?", re.ASCII)


def read_network(text: str) -> tuple[int, int, int] | None:
    """Version, number, and how many bits of the host follow it. A bare address is a network of one."""
    if not _NETWORK.fullmatch(text):
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    host = network.max_prefixlen - network.prefixlen
    return network.version, int(network.network_address) >> host, host


def _compile_addresses(_: Operator, values: Sequence[str]) -> Match:
    networks = [network for network in map(read_network, values) if network is not None]

    def match(text: str) -> bool:
        address = read_address(text)
        if address is not None:
            version, number = address
            for its_version, prefix, host in networks:
                if number >> host == prefix and version == its_version:
                    return True
        return False

    return match


_COMPILERS: dict[Family, Callable[[Operator, Sequence[str]], Match]] = {
    Family.NUMBER: _compile_read(read_number),
    Family.DATE: _compile_read(read_date),
    Family.BOOLEAN: _compile_read(read_boolean),
    Family.BINARY: _compile_read(read_binary),
    Family.ADDRESS: _compile_addresses,
}
