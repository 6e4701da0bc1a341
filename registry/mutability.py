"""Whether a tag may be moved (ECR PutImageTagMutability)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_FILTERS = 5
FILTER_PATTERN = re.compile(r"[0-9a-zA-Z._*-]{1,128}\Z", re.ASCII)
_MAX_WILDCARDS = 2


class Mutability(StrEnum):
    """ECR's four modes. The filters of a mode WITH_EXCLUSION name the tags for which the opposite holds."""

    MUTABLE = "MUTABLE"
    IMMUTABLE = "IMMUTABLE"
    MUTABLE_WITH_EXCLUSION = "MUTABLE_WITH_EXCLUSION"
    IMMUTABLE_WITH_EXCLUSION = "IMMUTABLE_WITH_EXCLUSION"


class MutabilityInvalid(ValueError):
    """Mode and filters do not go together; the message says why."""


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """A mode and its filters: `*` stands for any run of characters, and a filter covers a whole tag."""

    mode: Mutability = Mutability.MUTABLE
    filters: tuple[str, ...] = ()

    def is_immutable(self, tag: str) -> bool:
        """Whether a tag that exists may not be moved to another digest."""
        if self.mode is Mutability.MUTABLE:
            return False
        if self.mode is Mutability.IMMUTABLE:
            return True
        excluded = any(covers(pattern, tag) for pattern in self.filters)
        return excluded if self.mode is Mutability.MUTABLE_WITH_EXCLUSION else not excluded


def covers(pattern: str, tag: str) -> bool:
    """Whether `pattern` covers the whole of `tag`, in time linear in the tag for the two wildcards that are allowed."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == tag
    if not tag.startswith(first) or len(tag) < len(first) + len(rest[-1]) or not tag.endswith(rest[-1]):
        return False
    start, end = len(first), len(tag) - len(rest[-1])
    for middle in rest[:-1]:
        found = tag.find(middle, start, end)
        if found < 0:
            return False
        start = found + len(middle)
    return True


def make_tag_policy(mode: str, filters: Sequence[str]) -> TagPolicy:
    """Raises MutabilityInvalid."""
    mutability = Mutability(mode)
    excluding = mutability in {Mutability.MUTABLE_WITH_EXCLUSION, Mutability.IMMUTABLE_WITH_EXCLUSION}
    if excluding and not filters:
        raise MutabilityInvalid(f"exclusion filters are required with {mode}")
    if filters and not excluding:
        raise MutabilityInvalid(f"exclusion filters cannot be given with {mode}")
    if len(filters) > MAX_FILTERS:
        raise MutabilityInvalid(f"at most {MAX_FILTERS} exclusion filters can be given")
    for pattern in filters:
        if FILTER_PATTERN.match(pattern) is None or pattern.count("*") > _MAX_WILDCARDS:
            raise MutabilityInvalid(f"the filter `{pattern}` has to be of [0-9a-zA-Z._*-], with at most two wildcards")
    return TagPolicy(mutability, tuple(filters))
