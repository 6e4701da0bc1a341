"""The AWS APIs on `/`: from the server's requests to the dispatcher's calls and back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from auth.access import ANONYMOUS, Access, Principal
from auth.authorize import Gate, circumstances_of
from auth.errors import AccessDenied
from aws.dispatch import Authenticate, Call, Credential, Dispatcher, HttpCall, HttpReply, Service
from aws.errors import AwsError, Common
from aws.model import Models
from base.clock import Clock
from base.web import Reply
from registry.uploads import ClientGone
from server.http import Exchange
from server.limits import Limits, Refused
from server.visit import Visit

MAX_BODY = 32 * 1024 * 1024
"""Bytes: a layer part of 20 MiB in base64, and what goes with it."""
MAX_FORM = 4 * 1024 * 1024
"""Bytes of a Query request, which has no blobs: the largest ones bring policies to the simulator."""
_REQUEST_ID = "x-amzn-RequestId"
_LARGE = 128 * 1024
_LARGE_AT_ONCE = 2
"""Large bodies that are worked on at once: each takes several times its size in memory until its bytes are stored."""


class AwsApi:
    """Answers `POST /`, and `GET /` of presigned Query calls."""

    def __init__(
        self,
        services: Sequence[Service[Principal, Access]],
        *,
        authenticate: Authenticate[Principal],
        gate: Gate,
        clock: Clock,
        region: str,
        translate: Callable[[Exception], AwsError | None],
        report: Callable[[Exception, str, str], None],
        note: Callable[[Principal, str, str], None],
        count: Callable[[str, str, str], None],
        limits: Limits,
    ) -> None:
        """`report` is given a failure that nobody knows, the operation's name and the request's id; `note` who has
        signed a request, for which service and region; `count` the service and the operation that were called, and the
        error's code."""
        self._gate = gate
        self._report = report
        self._note = note
        self._count = count
        self._limits = limits
        self._visits: dict[str, Visit] = {}
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._dispatcher = Dispatcher(
            Models(),
            services,
            authenticate=authenticate,
            authorize=self._authorize,
            translate_error=translate,
            report=self._failed,
            clock=clock,
            anonymous=Credential(secret_access_key="", account="", principal=ANONYMOUS),
            region=region,
        )

    async def answer(self, visit: Visit) -> Reply:
        """The reply; what it was about stands in `visit`. Raises ClientGone."""
        exchange = visit.exchange
        if exchange.method not in {"GET", "POST"}:
            return Reply(405, [("Allow", "GET, POST")], close=True)
        self._visits[exchange.request_id] = visit
        try:
            reply, unread = await self._ask(exchange, _call(visit))
        finally:
            del self._visits[exchange.request_id]
        return self._reply(visit, reply, close=unread)

    async def _ask(self, exchange: Exchange, call: HttpCall) -> tuple[HttpReply, bool]:
        """The answer, and whether the body was left unread: of a large one it is looked first whether it will be refused
        whatever it says."""
        length = exchange.content_length
        if length is None or length > _LARGE:
            if "Authorization" not in exchange.headers and "X-Amz-Signature=" not in call.query:
                return await self._dispatcher.answer(call), True
            refusal = await self._dispatcher.screen(call)
            if refusal is not None:
                return refusal, True
        most = MAX_BODY if "X-Amz-Target" in exchange.headers else MAX_FORM
        if length is not None and length > most:
            return self._dispatcher.refuse(call, _too_large(most)), True
        await exchange.proceed()
        body = await _read(exchange, most)
        if body is None:
            return self._dispatcher.refuse(call, _too_large(most)), True
        call = replace(call, body=body)
        if len(body) <= _LARGE:
            return await self._dispatcher.answer(call), False
        async with self._large:
            return await self._dispatcher.answer(call), False

    def refuse(self, visit: Visit) -> Reply:
        """The answer to who asks too often, before its request is looked at."""
        length = visit.exchange.content_length
        reply = self._dispatcher.refuse(_call(visit), Common.THROTTLING.error())
        return self._reply(visit, reply, close=length is None or length > _LARGE)

    def _reply(self, visit: Visit, reply: HttpReply, *, close: bool) -> Reply:
        visit.operation, visit.code = reply.operation, reply.code
        if reply.service:
            visit.route = f"aws:{reply.service}"
            self._count(reply.service, reply.operation, reply.code)
        # every reply of the server carries the request's id
        headers = [field for field in reply.headers if field[0] != _REQUEST_ID]
        return Reply(reply.status, headers, reply.body, close=close)

    async def _authorize(self, call: Call[Principal], accesses: tuple[Access, ...]) -> None:
        visit = self._visits[call.request_id]
        visit.principal, visit.kind = call.principal.arn, call.principal.kind
        visit.repository = call.params.get("repositoryName", "")
        self._note(call.principal, call.service, call.region)
        if self._limits:
            try:
                patient = visit.exchange.received <= _LARGE  # the body is in memory
                await self._limits.enter_principal(visit, call.principal, patient=patient)
            except (Refused, ClientGone) as error:
                raise Common.THROTTLING.error() from error
        try:
            await self._gate.authorize(call.principal, accesses, circumstances_of(call))
        except AccessDenied as error:
            raise Common.ACCESS_DENIED.error(str(error)) from error

    def _failed(self, error: Exception, http: HttpCall, call: Call[Principal] | None) -> None:
        self._report(error, "" if call is None else f"{call.service}:{call.operation}", http.request_id)


def _call(visit: Visit) -> HttpCall:
    """Without its body."""
    exchange, origin = visit.exchange, visit.origin
    return HttpCall(
        method=exchange.method,
        path="/",
        query=visit.query,
        headers=list(exchange.headers.items()),
        body=b"",
        request_id=exchange.request_id,
        source_ip=origin.client,
        secure=origin.secure,
        host=origin.host,
        url=f"{origin.scheme}://{origin.host}",
    )


async def _read(exchange: Exchange, most: int) -> bytes | None:
    """The whole body, or None where it is too large."""
    body = exchange.body
    pieces: list[bytes] = []
    size = 0
    while size <= most:
        some = await body.read(1024 * 1024)
        if not some:
            return b"".join(pieces)
        pieces += some
        size += sum(map(len, some))
    return None


def _too_large(most: int) -> AwsError:
    return AwsError("RequestEntityTooLargeException", f"The request's body has more than {most} bytes.", status=413)
