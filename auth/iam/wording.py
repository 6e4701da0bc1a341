"""IAM's own words for parameters that its model does not admit."""

from collections.abc import Sequence
from typing import Final

from auth.iam.call import validation
from aws.errors import AwsError
from aws.validate import Violation

_NAME: Final = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
_PATH: Final = "It must begin and end with / and contain only alphanumeric characters and/or / characters."
_CHARACTERS: Final = {
    "path": _PATH,
    "newPath": _PATH,
    "pathPrefix": "It must begin with the / character and contain only alphanumeric characters and/or / characters.",
    "accessKeyId": "It must contain only alphanumeric characters.",
}
"""What the characters of a parameter have to be; those of every name are the same."""
_WITH_VALUE: Final = frozenset({"enum", "value-least", "value-most"})
"""Only numbers and the values of enums are repeated."""


def report(violations: Sequence[Violation]) -> AwsError:
    """ValidationError. What is missing, has a wrong length or is not of its enum comes first, all of it; wrong characters
    in a name, a path or a key's id are told one at a time."""
    plain = [one for one in violations if _characters(one) is None]
    if not plain:
        first = violations[0]
        return validation(f"The specified value for {first.path} is invalid. {_characters(first)}")
    found = "; ".join(
        f"Value {f'{one.shown} ' if one.constraints[0].kind in _WITH_VALUE else ''}at '{one.path}' "
        f"failed to satisfy constraint: {one.text}"
        for one in plain
    )
    plural = "" if len(plain) == 1 else "s"
    return validation(f"{len(plain)} validation error{plural} detected: {found}")


def _characters(violation: Violation) -> str | None:
    if violation.of or violation.constraints[0].kind != "pattern":
        return None
    return _CHARACTERS.get(violation.path, _NAME if violation.path.endswith("Name") else None)
