"""Explanations as JSON."""

from typing import Any

from auth.policy.explain import Element, Examined, Explanation, Finding, Layer


def as_json(explanation: Explanation) -> dict[str, Any]:
    """What `longshore policy simulate --format json` says of one decision."""
    request, verdict = explanation.request, explanation.verdict
    return {
        "principal": request.principal.arn,
        "action": request.action,
        "resource": request.resource,
        "decision": word(explanation),
        "reason": verdict.reason.value,
        "kind": verdict.kind.value if verdict.kind is not None else None,
        "sentence": explanation.denial,
        "conclusion": explanation.conclusion,
        "statements": [
            {"policy": one.policy, "kind": one.kind.value, "sid": one.sid, "number": one.number + 1}
            for one in verdict.statements
        ],
        "missing": list(verdict.missing),
        "context": {key: list(value) if isinstance(value, tuple) else value for key, value in request.context.items()},
        "layers": [_layer(layer) for layer in explanation.layers],
    }


def word(explanation: Explanation) -> str:
    return "allowed" if explanation.verdict.allowed else "denied"


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "title": layer.title,
        "allows": layer.allows,
        "denies": layer.denies,
        "policies": [_policy(one) for one in layer.policies],
    }


def _policy(examined: Examined) -> dict[str, Any]:
    policy = examined.policy
    return {"name": policy.name, "arn": policy.arn, "statements": [_statement(one) for one in examined.findings]}


def _statement(finding: Finding) -> dict[str, Any]:
    statement = finding.statement
    return {
        "number": statement.number + 1,
        "sid": statement.sid,
        "line": statement.start.line,
        "effect": statement.effect,
        "applies": finding.applies,
        "elements": [_element(one) for one in finding.elements],
    }


def _element(element: Element) -> dict[str, Any]:
    return {
        "name": element.name,
        "written": list(element.written),
        "matched": element.matched,
        "why": element.why,
    }
