"""The managed policies that AWS itself keeps, by ARN: part of the program, alike in every account."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class AwsPolicy:
    """`version` is the number of the version that AWS has published; times are seconds since the epoch."""

    name: str
    id: str
    path: str
    description: str
    version: int
    created_at: float
    updated_at: float
    document: str = field(repr=False)

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::aws:policy{self.path}{self.name}"


CATALOGUE: Final[Mapping[str, AwsPolicy]] = MappingProxyType({})
