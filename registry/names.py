"""Names and their grammars.

Repository names: OCI Distribution, "Pulling manifests"; ECR CreateRepository, `repositoryName` (2 to 256 characters).
Tags: OCI Distribution, 1 to 128 characters.
"""

import re
from dataclasses import dataclass
from typing import NewType

RepositoryName = NewType("RepositoryName", str)
Tag = NewType("Tag", str)

NAME_PATTERN = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
TAG_PATTERN = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
NAME_LENGTHS = (2, 256)
_NAME = re.compile(rf"{NAME_PATTERN}\Z", re.ASCII)
_TAG = re.compile(rf"{TAG_PATTERN}\Z", re.ASCII)


class NameMalformed(ValueError):
    """The text is no repository name."""


class TagMalformed(ValueError):
    """The text is no tag."""


@dataclass(frozen=True, slots=True)
class RegistryId:
    """A registry: one an account and region."""

    account: str
    region: str

    def arn(self, name: str) -> str:
        """The ARN of repository `name` (or a pattern of names) in this registry."""
        return f"arn:{partition_of(self.region)}:ecr:{self.region}:{self.account}:repository/{name}"


def partition_of(region: str) -> str:
    """`aws`, `aws-cn` or `aws-us-gov`, by the region's name."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def parse_name(text: str) -> RepositoryName:
    """Raises NameMalformed."""
    if not NAME_LENGTHS[0] <= len(text) <= NAME_LENGTHS[1] or _NAME.match(text) is None:
        shown = text if len(text) <= 300 else text[:300] + "..."
        raise NameMalformed(
            f"`{shown}` is not a repository name: expected 2 to 256 lower-case letters and digits, "
            "with single . _ or / (or __, or -) between them"
        )
    return RepositoryName(text)


def parse_tag(text: str) -> Tag:
    """Raises TagMalformed."""
    if _TAG.match(text) is None:
        shown = text if len(text) <= 300 else text[:300] + "..."
        raise TagMalformed(
            f"`{shown}` is not a tag: expected 1 to 128 letters, digits, _ . or -, not starting with . or -"
        )
    return Tag(text)
