"""The managed policies that AWS itself keeps, by ARN: part of the program, alike in every account.

Those for ECR, ECS, IAM, Organizations and administration, as AWS publishes them (AWS Managed Policy Reference Guide). They
lie in the directory `published`: the documents, and the rest in `catalogue.json`. Where AWS's id of a policy is not known,
it has one made from its name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class AwsPolicy:
    """`version` is the number of the version that AWS has published; times are seconds since the epoch."""

    name: str
    id: str
    path: str
    version: int
    created_at: float
    updated_at: float
    description: str

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::aws:policy{self.path}{self.name}"

    @property
    def document(self) -> str:
        return _read(self.name)

    @property
    def attachable(self) -> bool:
        """Those of service-linked roles are not."""
        return not self.path.startswith("/aws-service-role/")


@cache
def _read(name: str) -> str:
    return files("auth.iam").joinpath("published", f"{name}.json").read_text("utf-8").rstrip()


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _load() -> Iterator[AwsPolicy]:
    for row in json.loads(_read("catalogue")):
        created_at, updated_at = _seconds(row.pop("created")), _seconds(row.pop("updated"))
        yield AwsPolicy(created_at=created_at, updated_at=updated_at, **row)


CATALOGUE: Final[Mapping[str, AwsPolicy]] = MappingProxyType({policy.arn: policy for policy in _load()})
