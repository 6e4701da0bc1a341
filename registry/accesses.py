"""Accesses that both dialects ask for, with their context keys."""

from collections.abc import Mapping, Sequence

from auth.access import Access, requested_tags


def creation(arn: str, tags: Sequence[Mapping[str, str]], *, tagging: bool = True) -> list[Access]:
    """What making a repository with those tags (ECR's TagList) asks for; with `tagging`, tags need leave of their own.

    aws:ResourceTag and ecr:ResourceTag are what the repository is about to have (Service Authorization Reference,
    "Amazon Elastic Container Registry", and IAM, "aws:ResourceTag").
    """
    given = [(tag["Key"], tag.get("Value", "")) for tag in tags]
    keys = (
        *requested_tags(tags),
        *((f"{service}:ResourceTag/{key}", value) for service in ("aws", "ecr") for key, value in given),
    )
    actions = ("ecr:CreateRepository", "ecr:TagResource") if given and tagging else ("ecr:CreateRepository",)
    return [Access(action, arn, keys) for action in actions]
