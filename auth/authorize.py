"""The one gate. Every route and every operation asks it for the set of accesses that it needs.

It knows the root user of an account, who may do everything to the account's own resources, and refuses everyone else.
"""

from collections.abc import Iterable

from auth.access import ALLOWED, Access, Circumstances, Decision, Principal, PrincipalKind
from auth.errors import AccessDenied

_NO_IDENTITY_POLICY = "because no identity-based policy allows the {action} action"
_NO_RESOURCE_POLICY = "because no resource-based policy allows the {action} action"


class Gate:
    """Decides. Pure but for what it is given."""

    def decide(self, principal: Principal, accesses: Iterable[Access], circumstances: Circumstances) -> Decision:  # noqa: ARG002 - conditions read them
        """Allowed only if every access is."""
        for access in accesses:
            owner = _owner(access.resource)
            own = not owner or owner == principal.account
            if principal.kind is PrincipalKind.ROOT and own:
                continue
            reason = _NO_IDENTITY_POLICY if own else _NO_RESOURCE_POLICY
            return Decision(allowed=False, refused=access, sentence=refusal(principal, access, reason))
        return ALLOWED

    def authorize(self, principal: Principal, accesses: Iterable[Access], circumstances: Circumstances) -> None:
        """Raises AccessDenied with AWS's sentence for the first access that is refused."""
        decision = self.decide(principal, accesses, circumstances)
        if not decision.allowed:
            raise AccessDenied(decision.sentence)


def refusal(principal: Principal, access: Access, reason: str) -> str:
    """AWS's sentence (IAM, "Troubleshoot access denied error messages")."""
    return (
        f"User: {principal.arn} is not authorized to perform: {access.action} on resource: {access.resource} "
        + reason.format(action=access.action)
    )


def _owner(resource: str) -> str:
    """The account in an ARN, or nothing: the resource is the caller's own."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 else ""
