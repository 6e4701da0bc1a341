"""The one place where errors become answers on /v2/, and the one through which every request of it goes."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from auth import errors as auth_errors
from auth.authenticate import Authenticator, Caller
from base.limits import Refused
from base.web import Reply
from registry.errors import (
    TABLE,
    OffsetWrong,
    RangeNotSatisfiable,
    ReadOnly,
    RegistryError,
    Unavailable,
)
from registry.oci.call import Call, Registry
from registry.oci.routes import MethodUnknown, Route, Router
from registry.oci.uploads import span
from registry.outages import outage
from registry.uploads import ClientGone

API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
_JSON = ("Content-Type", "application/json")
_RETRY_AFTER: Mapping[type[RegistryError], str] = {ReadOnly: "60", Unavailable: "5"}
"""Seconds."""

Report: TypeAlias = Callable[[BaseException, Call], None]
Challenge: TypeAlias = Callable[[Call, str, str], tuple[str, str]]
"""(call, scope, error) -> the WWW-Authenticate field."""


class OciBoundary:
    """Answers a request of /v2/, whatever happens."""

    def __init__(
        self,
        registry: Registry,
        authenticator: Authenticator,
        *,
        challenge: Challenge,
        plain_unauthorized: bool,
        report: Report,
        admit: Callable[[], Awaitable[None]],
        router: Router | None = None,
    ) -> None:
        """`admit` raises Sealed while nothing may be changed."""
        self._registry = registry
        self._authenticator = authenticator
        self._challenge = challenge
        self._plain_unauthorized = plain_unauthorized
        self._report = report
        self._admit = admit
        self._router = router or Router()

    async def answer(self, call: Call) -> Reply:
        """Route, authenticate, authorise, handle. Raises ClientGone, and nothing else."""
        route: Route | None = None
        if not (call.path.isascii() and call.query.isascii()):  # bytes that no database takes for text
            return _error(400, "NAME_INVALID", "the address has to be percent-encoded")
        try:
            try:
                found = self._router.find(call.method, call.path)
            except MethodUnknown as error:
                await self._authenticate(call)
                return _error(405, "UNSUPPORTED", str(error), [("Allow", ", ".join(error.allowed))])
            if found is not None:
                call.route = found[0].template
            call.caller = await self._authenticate(call)
            if found is None:
                return _error(404, "NAME_UNKNOWN", "there is nothing here: see the routes of OCI Distribution")
            route, call.groups = found
            await self._authorize(route, call)
            if route.changes:  # before its bytes are sent
                await self._admit()
            reply = await route.handler(self._registry, call)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary
            return self._render(error, call, route)
        reply.headers = [*reply.headers, API_VERSION]
        return reply

    async def _authenticate(self, call: Call) -> Caller:
        header = call.headers.get("Authorization")
        caller = await self._authenticator.authenticate(header, region=call.registry.region)
        if call.entered is not None:
            await call.entered(caller.principal)
        return caller

    async def _authorize(self, route: Route, call: Call) -> None:
        if call.caller.claims is not None:
            scope, action = route.scopes(call.groups.get("name", ""))
            if scope and not call.caller.may_use(scope, action):
                raise auth_errors.ScopeInsufficient(f"{scope}:{action}")
        accesses = route.accesses(call)
        if accesses:
            await self._registry.gate.authorize(call.caller.principal, accesses, call.circumstances)

    def _render(self, error: Exception, call: Call, route: Route | None) -> Reply:
        if isinstance(error, RegistryError):
            return _domain(error, call)
        if isinstance(error, auth_errors.AuthError):
            return self._auth(error, call, route)
        if isinstance(error, Refused):
            return too_many(error)
        told = outage(error)
        if told is None or isinstance(told, Unavailable):
            self._report(error, call)
        if told is not None:
            reply = _domain(told, call)
            if reply.status == 503:  # all that docker shows of it is this line
                why = f"read-only: {error}" if isinstance(told, ReadOnly) else told.message
                reply.reason = f"Service Unavailable, {why}"
            return reply
        return _error(
            500, "UNKNOWN", f"the registry failed on this request (request id {call.circumstances.request_id})"
        )

    def _auth(self, error: auth_errors.AuthError, call: Call, route: Route | None) -> Reply:
        reply = self._say(error, call, route)
        if not isinstance(error, auth_errors.AccessDenied | auth_errors.CredentialsMissing):
            reply.refused = str(error)
        return reply

    def _say(self, error: auth_errors.AuthError, call: Call, route: Route | None) -> Reply:
        # who came with a Bearer token asks for another one when it is no good; a password's end is said as ECR does
        by_bearer = (call.headers.get("Authorization") or "").lower().startswith("bearer ")
        if isinstance(error, auth_errors.AccessDenied) or (
            isinstance(error, auth_errors.TokenExpired) and not by_bearer
        ):
            return _error(403, "DENIED", str(error))
        if isinstance(error, auth_errors.TokenMalformed) and not by_bearer:
            return _error(400, "DENIED", str(error))
        scope = self._scope(call, route)
        if isinstance(error, auth_errors.ScopeInsufficient):
            challenge = ("WWW-Authenticate", self._challenge(call, scope, "insufficient_scope")[1])
            return _error(401, "DENIED", str(error), [challenge])
        challenge = self._challenge(call, scope, "invalid_token" if by_bearer else "")
        if isinstance(error, auth_errors.CredentialsMissing) and self._plain_unauthorized:
            # as ECR says it
            headers = [challenge, ("Content-Type", "text/plain; charset=utf-8"), API_VERSION]
            return Reply(401, headers, b"Not Authorized\n")
        return _error(401, "UNAUTHORIZED", str(error), [challenge])

    def _scope(self, call: Call, route: Route | None) -> str:
        try:
            found = self._router.find(call.method, call.path) if route is None else (route, call.groups)
        except MethodUnknown:
            return ""
        if found is None:
            return ""
        scope, action = found[0].scopes(found[1].get("name", ""))
        # who pushes also checks what is there
        return f"{scope}:{'pull,push' if action == 'push' else action}" if scope else ""


def too_many(error: Refused) -> Reply:
    """The answer to who asks too often (RFC 6585, 4)."""
    return _error(429, "TOOMANYREQUESTS", str(error), [("Retry-After", str(error.retry_after))])


def _domain(error: RegistryError, call: Call) -> Reply:
    row = TABLE[type(error)]
    headers: list[tuple[str, str]] = []
    if isinstance(error, OffsetWrong):
        headers = [("Location", call.path), ("Range", span(error.received))]
    elif isinstance(error, RangeNotSatisfiable):
        headers = [("Content-Range", f"bytes */{error.size}")]
    elif type(error) in _RETRY_AFTER:
        headers = [("Retry-After", _RETRY_AFTER[type(error)])]
    return _error(row.status, row.code, error.message, headers)


def _error(status: int, code: str, message: str, headers: list[tuple[str, str]] | None = None) -> Reply:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Reply(status, [*(headers or ()), _JSON, API_VERSION], body)
