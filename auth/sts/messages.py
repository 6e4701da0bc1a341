"""Encoded authorization messages: the details of a denial, for those who may see them (STS, DecodeAuthorizationMessage).

AWS lets some services (Amazon EC2 above all) hand them out in their errors. They are encrypted under the server key.
"""

import json
from typing import Any

from auth.authorize import Judgement
from auth.policy.evaluate import Reason
from auth.secrets import ServerKeyInvalid, Vault
from base.clock import Clock

LIFETIME = 86400.0
"""Seconds for which a message can be decoded."""


class MessageInvalid(ValueError):
    """No message of this server, one of another account, or an old one."""


class Messages:
    """Encodes and decodes."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault.for_purpose("authorization messages")
        self._clock = clock

    def encode(self, judgement: Judgement) -> str:
        """Letters, digits, `-`, `_` and `=`."""
        content = {
            "at": judgement.at,
            "accounts": sorted({judgement.request.principal.account, judgement.force.owner} - {""}),
            "message": _describe(judgement),
        }
        return self._vault.encrypt(json.dumps(content, separators=(",", ":")).encode()).decode()

    def decode(self, message: str, account: str) -> str:
        """The JSON document, for the account of the caller or of the resource. Raises MessageInvalid."""
        try:
            content = json.loads(self._vault.decrypt(message.encode()))
        except (ServerKeyInvalid, ValueError) as error:
            raise MessageInvalid("not a message of this server") from error
        if account not in content["accounts"]:
            raise MessageInvalid("a message of another account")
        if content["at"] + LIFETIME <= self._clock():
            raise MessageInvalid("the message has expired")
        return json.dumps(content["message"], separators=(",", ":"))


def _describe(judgement: Judgement) -> dict[str, Any]:
    """In the shape of AWS's decoded messages."""
    request, verdict = judgement.request, judgement.verdict
    return {
        "allowed": verdict.allowed,
        "explicitDeny": verdict.reason is Reason.EXPLICIT_DENY,
        "matchedStatements": _items(
            {
                "statementId": statement.sid,
                "effect": statement.effect.upper(),
                "policyId": statement.policy,
                "policyType": statement.kind.value,
            }
            for statement in verdict.statements
        ),
        "failures": _items(()),
        "context": {
            "principal": {
                "id": request.principal.unique_id,
                "name": request.principal.name,
                "arn": request.principal.arn,
            },
            "action": request.action,
            "resource": request.resource,
            "conditions": _items(
                {
                    "key": key,
                    "values": _items({"value": one} for one in ([value] if isinstance(value, str) else value)),
                }
                for key, value in sorted(request.context.items())
            ),
        },
    }


def _items(found: Any) -> dict[str, list[Any]]:
    return {"items": list(found)}
