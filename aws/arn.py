"""Amazon Resource Names."""

import re
from dataclasses import dataclass
from typing import Self

_PARTITION = re.compile(r"aws[a-z0-9-]*", re.ASCII)
_PARTS = 6
_LONGEST = 2048


@dataclass(frozen=True, slots=True, order=True)
class Arn:
    """`arn:partition:service:region:account:resource` (IAM User Guide, "Amazon Resource Names").

    `region` and `account` may be empty; `resource` may hold further colons and slashes.
    """

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for what has not the six parts, or lacks partition, service or resource."""
        parts = text.split(":", _PARTS - 1)
        if len(text) > _LONGEST or len(parts) != _PARTS or parts[0] != "arn":
            raise ValueError(f"{text[:100]!r} is not an ARN (arn:partition:service:region:account:resource)")
        partition, service, region, account, resource = parts[1:]
        if not _PARTITION.fullmatch(partition) or not service or not resource:
            raise ValueError(f"{text[:100]!r} is an ARN without a partition, service or resource")
        return cls(partition, service, region, account, resource)

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"
