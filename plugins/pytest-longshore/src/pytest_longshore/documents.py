"""Policies as tests give them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = Mapping[str, Any] | str | Path
"""A policy as a mapping, as JSON text, or as the path of a file."""


def read_document(document: Document) -> str:
    """Its text, as it is written: what is wrong with it, the server says."""
    if isinstance(document, Path):
        return document.read_text()
    return document if isinstance(document, str) else json.dumps(document)


def managed_arn(name: str) -> str:
    """The ARN of one of AWS's managed policies by its name; an ARN stays as it is."""
    return name if name.startswith("arn:") else f"arn:aws:iam::aws:policy/{name}"


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """In IAM's form."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
