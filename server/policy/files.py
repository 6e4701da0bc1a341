"""Files that the policy commands read, and the kinds of policies that they hold."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from auth.policy.document import Kind

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


def read_text(file: str) -> str:
    """`-` is the standard input. Raises Unusable."""
    try:
        content = sys.stdin.buffer.read() if file == _STANDARD_INPUT else Path(file).read_bytes()
        return content.decode()
    except OSError as error:
        raise Unusable(f"`{file}` cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"`{file}` cannot be read: it is not UTF-8") from error
