"""What is asked for, as people write it: actions and resources, several at once."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from auth.access import Access, Value
from auth.policy.catalogue import catalogue, nearest

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "login": ("ecr:GetAuthorizationToken",),
    "pull": ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
    "push": (
        "ecr:BatchCheckLayerAvailability",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
    ),
}
"""What docker asks for (Amazon ECR, "IAM permissions for pushing an image")."""
_REPOSITORY: Final = re.compile(r"(?:repository/)?([a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?)", re.ASCII)
_IDENTITY: Final = re.compile(r"(?:user|group|role|policy|instance-profile)/[\w+=,.@/-]+", re.ASCII)
_ACTION: Final = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*?]+", re.ASCII | re.IGNORECASE)


class WhatUnclear(ValueError):
    """Nothing can be asked for so. The message is a sentence without capital and full stop."""


def parse_actions(text: str) -> tuple[str, ...]:
    """An action, in any case; a pattern of actions; or push, pull, login. Raises WhatUnclear for what matches none."""
    if text in WORDS:
        return WORDS[text]
    known = catalogue()
    if not _ACTION.fullmatch(text) and text != "*":
        raise WhatUnclear(f"`{text}` is no action: say one as in ecr:PutImage, a pattern, or {', '.join(WORDS)}")
    service = text.partition(":")[0].lower()
    if "*" not in text and "?" not in text:
        action = known.action(text)
        if action is not None:
            return (action.full,)
        if service not in known.services and service in known.prefixes:
            return (text,)  # of a service whose actions are not known
        meant = nearest(text, [one.full for one in known.actions_of(service)])
        raise WhatUnclear(f"there is no action `{text}`" + (f": did you mean {meant}?" if meant else ""))
    found = tuple(one.full for one in known.matching(text))
    if not found:
        raise WhatUnclear(f"`{text}` matches no known action")
    return found


def parse_resource(text: str, *, account: str, region: str) -> str:
    """An ARN; `*`; the name of a repository; or user/NAME, role/NAME and the like. Raises WhatUnclear."""
    if text == "*":
        return text
    if text.startswith("arn:"):
        if text.count(":") < 5:
            raise WhatUnclear(f"`{text}` has not the six parts of an ARN")
        return text
    if _IDENTITY.fullmatch(text):
        return f"arn:aws:iam::{account}:{text}"
    repository = _REPOSITORY.fullmatch(text)
    if repository is None:
        raise WhatUnclear(f"`{text}` is no resource: say an ARN, a repository's name, user/NAME, role/NAME or *")
    return f"arn:aws:ecr:{region}:{account}:repository/{repository[1]}"


def check_key(name: str) -> None:
    """A context key that there is. Raises WhatUnclear."""
    known = catalogue()
    if known.key(name) is not None:
        return
    service, colon, rest = name.partition(":")
    if not colon or not rest:
        raise WhatUnclear(f"`{name}` is no context key, as aws:SourceIp is")
    if service.lower() == "aws" or service.lower() in known.services:
        meant = nearest(name, known.keys)
        raise WhatUnclear(f"there is no context key `{name}`" + (f": did you mean {meant}?" if meant else ""))


def parse_context(text: str) -> tuple[str, Value]:
    """`KEY=VALUE`, or `KEY=VALUE,VALUE` of a key that may have several. Raises WhatUnclear."""
    name, equals, value = text.partition("=")
    if not equals:
        raise WhatUnclear(f"`{text}` is no KEY=VALUE, as in aws:SourceIp=10.1.2.3")
    check_key(name)
    key = catalogue().key(name)
    if key is not None:
        return name, tuple(value.split(",")) if key.several else value
    return name, tuple(value.split(",")) if "," in value else value


def accesses(actions: Sequence[str], resources: Sequence[str]) -> list[Access]:
    """On each resource each action, once. An action that is about no resource is asked about `*`, as services do."""
    known = catalogue()
    found: dict[Access, None] = {}
    for resource in resources:
        for name in actions:
            action = known.action(name)
            nothing = action is not None and action.types == ()
            found[Access(name, "*" if nothing else resource)] = None
    return list(found)
