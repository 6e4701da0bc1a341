"""Policy variables, wherever they are written."""

from collections.abc import Iterator
from typing import Final

from auth.lint.ground import Ground, found
from auth.lint.keys import check_key
from auth.lint.reading import Part, Text
from auth.lint.rules import Finding
from auth.policy.conditions import Family
from auth.policy.patterns import SEGMENTS
from auth.policy.variables import Variable, split

_WITH_VARIABLES: Final = frozenset({Family.STRING, Family.STRING_ANY_CASE, Family.PATTERN, Family.ARN})


def check(part: Part, ground: Ground) -> Iterator[Finding]:
    """All that is to be said of a statement's variables."""
    for written in part.resources.values if part.resources is not None else ():
        if "${" in written.text:
            yield from _check_text(part, written, ground)
            yield from _check_place(part, written, ground)
    for asked in part.asked:
        family = asked.clause.operator.family
        for written in asked.values:
            if "${" not in written.text:
                continue
            if family in _WITH_VARIABLES:
                yield from _check_text(part, written, ground)
            else:
                message = f"{asked.clause.written} compares {family.value}, where {written.text} is plain text"
                yield found("misplaced-variable", part, written.at, message)
    for written in part.actions.values:
        if "${" in written.text:
            message = f"actions have no variables: {written.text} is plain text"
            yield found("misplaced-variable", part, written.at, message)


def _check_text(part: Part, written: Text, ground: Ground) -> Iterator[Finding]:
    parts = split(written.text)
    used = [one for one in parts if isinstance(one, Variable)]
    if not ground.document.has_variables:
        if used:
            message = f'{used[0].written} is plain text without "Version": "2012-10-17"'
            yield found("variable-in-old-version", part, written.at, message)
        return
    if any("${" in one for one in parts if isinstance(one, str)):
        message = (
            f"{written.text!r}: a variable is ${{key}}, or ${{key, 'text'}} with what stands in where the key is absent"
        )
        yield found("malformed-variable", part, written.at, message)
    for variable in used:
        if not variable.key:
            continue
        problem = check_key(variable.name, ground)
        if problem:
            yield found("unknown-key", part, written.at, f"the variable {variable.written}: {problem}")
        known = ground.catalogue.key(variable.name)
        if known is not None and known.several:
            message = f"{known.name} has several values, so {variable.written} has none"
            yield found("variable-of-several", part, written.at, message)


def _check_place(part: Part, written: Text, ground: Ground) -> Iterator[Finding]:
    if not ground.document.has_variables:
        return
    colons = 0
    for one in split(written.text):
        if isinstance(one, str):
            colons += one.count(":")
        elif colons < SEGMENTS - 1:
            message = f"{one.written} stands before the fifth colon of {written.text}, where it is plain text"
            yield found("misplaced-variable", part, written.at, message)
