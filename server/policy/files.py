"""Files that the policy commands read, and the kinds of policies that they hold."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from auth.iam.managed import CATALOGUE
from auth.policy.document import Kind, Policy, PolicyMalformed, Source, parse_policy

KINDS: Final[Mapping[str, Kind]] = {
    "identity": Kind.IDENTITY,
    "repository": Kind.REPOSITORY,
    "registry": Kind.REGISTRY,
    "trust": Kind.TRUST,
    "scp": Kind.CONTROL,
    "boundary": Kind.BOUNDARY,
    "session": Kind.SESSION,
}
"""What they are called on the command line."""
NAMES: Final[Mapping[Kind, str]] = {kind: name for name, kind in KINDS.items()}
_STANDARD_INPUT: Final = "-"


class Unusable(Exception):
    """A file, or what was asked for, is nothing that can be worked with. The message is one line."""


def read_policy(file: str, kind: Kind) -> Policy:
    """A file, or one of the policies that AWS keeps, by its ARN. Raises Unusable."""
    if file in CATALOGUE:
        known = CATALOGUE[file]
        return parse_policy(known.document, kind, name=known.name, arn=file, source=Source.AWS_MANAGED)
    if file.startswith("arn:"):
        raise Unusable(f"`{file}` is none of the policies that AWS keeps and this server knows")
    try:
        return parse_policy(read_text(file), kind, name=file)
    except PolicyMalformed as error:
        where = f":{error.line}:{error.column}" if error.line else ""
        raise Unusable(f"{file}{where}: it is no {kind.value}: {error.detail or error.message}") from error


def read_text(file: str) -> str:
    """`-` is the standard input. Raises Unusable."""
    try:
        content = sys.stdin.buffer.read() if file == _STANDARD_INPUT else Path(file).read_bytes()
        return content.decode()
    except OSError as error:
        raise Unusable(f"`{file}` cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"`{file}` cannot be read: it is not UTF-8") from error
