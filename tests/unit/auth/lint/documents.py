"""Policies for the linter, and what it says of them."""

import json
from typing import Any

from auth.authorize import KEYS
from auth.lint.linter import Report, lint
from auth.policy.document import Kind

NOW = 1_780_000_000.0
"""In 2026."""
REGISTRY = "arn:aws:ecr:us-east-1:123456789012"
REPOSITORY = f"{REGISTRY}:repository/team-a/app"
ROLE = "arn:aws:iam::123456789012:role/ci"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"


def statement(action: Any = "ecr:ListImages", resource: Any = REPOSITORY, **elements: Any) -> dict[str, Any]:
    """An Allow; None leaves an element out. `when` is its Condition."""
    made = {"Effect": "Allow", "Action": action, "Resource": resource}
    if "when" in elements:
        elements["Condition"] = elements.pop("when")
    return {name: value for name, value in (made | elements).items() if value is not None}


def deny(action: Any = "ecr:ListImages", resource: Any = REPOSITORY, **elements: Any) -> dict[str, Any]:
    return statement(action, resource, Effect="Deny", **elements)


def of_resource(principal: Any, action: Any = "ecr:ListImages", **elements: Any) -> dict[str, Any]:
    """A statement of a repository policy."""
    return statement(action, None, Principal=principal, **elements)


def trust(principal: Any, action: Any = "sts:AssumeRole", **elements: Any) -> dict[str, Any]:
    return of_resource(principal, action, **elements)


def written(*statements: Any, version: str | None = "2012-10-17") -> str:
    head = {} if version is None else {"Version": version}
    return json.dumps(head | {"Statement": list(statements)}, indent=2)


def linted(text: str, kind: Kind = Kind.IDENTITY) -> Report:
    return lint(text, kind, now=NOW, given=KEYS)


def rules_of(text: str, kind: Kind = Kind.IDENTITY) -> list[str]:
    return [finding.rule.id for finding in linted(text, kind).findings]
