"""Policy documents for tests."""

import json
from typing import Any


def allow(*actions: str, resource: str = "*", effect: str = "Allow", **more: Any) -> str:
    """A document of one statement."""
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def of_size(characters: int) -> str:
    """A document that has so many characters without white space."""
    bare = allow("ecr:GetAuthorizationToken", Sid="a")
    return allow("ecr:GetAuthorizationToken", Sid="a" * (characters - len("".join(bare.split())) + 1))
