"""The cases of this directory, and how the engine is asked one.

The files hold plain JSON in the form that `tests/naive/evaluator.py` describes. A case names its principal, which is one
of principals.json; where its user or role has no policies at all, `identity` is left out or an empty list.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auth.access import Principal, PrincipalKind, Session, SessionKind
from auth.policy.document import Kind, Source, parse_policy
from auth.policy.evaluate import InForce, PolicySet, Request, Verdict, evaluate

Case = dict[str, Any]

_HERE = Path(__file__).parent
_PRINCIPALS: dict[str, dict[str, Any]] = json.loads((_HERE / "principals.json").read_text())
_NOT_CASES = {"principals.json", "malformed.json", "wellformed.json"}
_WITHOUT_POLICIES = {PrincipalKind.ROOT, PrincipalKind.ANONYMOUS}


def load() -> Iterator[tuple[str, Case]]:
    """(file and name, case with its principal put in), of every file."""
    for path in sorted(_HERE.glob("*.json")):
        if path.name not in _NOT_CASES:
            for case in json.loads(path.read_text()):
                principal = _PRINCIPALS[case["principal"]]
                yield f"{path.stem}: {case['name']}", case | {"principal": principal} | _identity(case, principal)


def _identity(case: Case, principal: dict[str, Any]) -> dict[str, Any]:
    """Every user and role has identity-based policies, if none that say anything."""
    if principal["kind"] in _WITHOUT_POLICIES:
        return {}
    return {"policies": {"identity": []} | case["policies"]}


def request(case: Case) -> Request:
    context = {key: tuple(value) if isinstance(value, list) else value for key, value in case["context"].items()}
    return Request(_principal(case["principal"]), case["action"], case["resource"], context)


def in_force(policies: dict[str, Any]) -> InForce:
    def compiled(name: str, kind: Kind) -> PolicySet | None:
        documents = policies.get(name)
        return None if documents is None else _set(documents, kind)

    return InForce(
        identity=compiled("identity", Kind.IDENTITY),
        boundary=compiled("boundary", Kind.BOUNDARY),
        session=compiled("session", Kind.SESSION),
        federated_without=policies.get("federated_without", False),
        controls=tuple(_set(level, Kind.CONTROL) for level in policies.get("controls", [])),
        repository=compiled("repository", Kind.REPOSITORY),
        registry=compiled("registry", Kind.REGISTRY),
        trust=compiled("trust", Kind.TRUST),
        owner=policies.get("owner", ""),
        anonymous_resource=policies.get("anonymous_resource", False),
    )


def judge(case: Case) -> Verdict:
    return evaluate(request(case), in_force(case["policies"]))


def _set(documents: list[Any], kind: Kind) -> PolicySet:
    return PolicySet(
        parse_policy(json.dumps(document), kind, name=f"{kind.name.lower()}-{number}", source=Source.NONE)
        for number, document in enumerate(documents)
    )


def _principal(given: dict[str, Any]) -> Principal:
    session = given.get("session", {})
    return Principal(
        PrincipalKind(given["kind"]),
        given["account"],
        given["arn"],
        given["unique_id"],
        identity_arn=given.get("identity_arn", ""),
        identity_id=given.get("identity_id", ""),
        name=given.get("name", ""),
        session=Session(
            SessionKind(session["kind"]),
            session["name"],
            issued_at=0,
            expires_at=3600,
            provider=given.get("provider", ""),
        )
        if session
        else None,
    )
