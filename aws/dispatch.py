"""One entry for every AWS API: from an HTTP request to an operation's handler and back.

The order of the steps is AWS's: whom the request is for, its signature, the key, the parameters by the model, the
caller's permission, and only then the handler. Exactly one place renders errors.
"""

import asyncio
import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from aws import parse, serialize, sigv4, validate
from aws.errors import AwsError, Common
from aws.model import Models, OperationModel, ServiceModel

P = TypeVar("P")
"""The principal; opaque here."""
A = TypeVar("A")
"""An access that an operation needs, such as an action and a resource; opaque here."""
R = TypeVar("R")
# The generic dataclasses below have no slots: Python 3.11 cannot construct `Service[X, Y](..)` with them.

_LARGE_BODY: Final = 128 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_JSON_TYPE: Final = re.compile(r"application/x-amz-json-1\.[01]")
_TARGET: Final = re.compile(r"([^.]{1,200})\.(\w{1,200})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall(sigv4.SignedRequest):
    """A request to the AWS endpoint. `url` is the address of this server as the client knows it, without a path."""

    request_id: str
    source_ip: str
    secure: bool
    host: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """An answer with its whole body; Date and Content-Length are the server's.

    `service`, `operation` and `code` are for logs and metrics: what was called, as far as it is known here, and the
    error's code in the JSON protocol.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    service: str = ""
    operation: str = ""
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Credential(Generic[P]):
    """An access key that may sign, and whom it stands for. Its secret never shows in a representation."""

    secret_access_key: str = field(repr=False)
    account: str
    principal: P


@dataclass(frozen=True, kw_only=True)
class Call(Generic[P]):
    """What a handler is given. `params` have passed the model's checks; absent members are not in them."""

    service: str
    operation: str
    params: dict[str, Any] = field(repr=False)
    principal: P
    account: str
    region: str
    request_id: str
    source_ip: str
    secure: bool
    user_agent: str
    referer: str
    host: str
    url: str
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Operation(Generic[P, A]):
    """A row: a name of the model, what serves it, and the accesses it needs (empty: none but to be who one is).

    Accesses that have to be looked up (a user's ARN has a path) are awaited.
    `signed` is False for the operations that the model declares as unsigned.
    """

    name: str
    handler: Callable[[Call[P]], Awaitable[Mapping[str, Any]]]
    access: Callable[[Call[P]], Iterable[A] | Awaitable[Iterable[A]]]
    signed: bool = True

    def __post_init__(self) -> None:
        if not callable(self.handler) or not callable(self.access):
            raise TypeError(f"operation {self.name} needs a handler and the accesses that it asks for")


@dataclass(frozen=True, kw_only=True)
class Service(Generic[P, A]):
    """The operations served of one service, and its habits.

    `name` is botocore's. `report` turns violations of the model into the service's error; `fault_code` is what an
    unexpected failure is called; `window` is how far a signature's date may be off (None: 15 minutes, 5 for Query
    services of the first generation).
    """

    name: str
    operations: tuple[Operation[P, A], ...]
    report: validate.Report = validate.report_all
    fault_code: str = Common.INTERNAL_FAILURE.value.code
    window: timedelta | None = None

    def __post_init__(self) -> None:
        twice = [name for name, count in Counter(row.name for row in self.operations).items() if count > 1]
        if twice:
            raise ValueError(f"service {self.name} has {', '.join(twice)} more than once")


Authenticate = Callable[[sigv4.Claim], Awaitable[Credential[P] | None]]
"""The credential of a claim's key, None for a key that may not sign. Checks the session token too; raises AwsError
(`Common.EXPIRED_TOKEN`, `Common.UNRECOGNIZED_CLIENT`)."""

Authorize = Callable[[Call[P], tuple[A, ...]], Awaitable[None]]
"""Raises AwsError (`Common.ACCESS_DENIED`) unless the caller has every access."""


class _Bound(Generic[P, A]):
    """A service with its model."""

    def __init__(self, service: Service[P, A], model: ServiceModel) -> None:
        self.service = service
        self.model = model
        self.operations = {row.name: (row, _checked_row(model, row)) for row in service.operations}
        first_generation = timedelta(minutes=5) if model.protocol == serialize.QUERY else sigv4.WINDOW
        self.window = service.window or first_generation


def _checked_row(model: ServiceModel, row: Operation[Any, Any]) -> OperationModel:
    operation = model.operation(row.name)
    if operation.signed is not row.signed:
        raise ValueError(f"{model.name}.{row.name}: the model has signed={operation.signed}, the row {row.signed}")
    return operation


@dataclass
class _Route(Generic[P, A]):
    """How far the reading of a request has come; the error's rendering takes what is known."""

    protocol: str
    json_version: str = "1.1"
    bound: _Bound[P, A] | None = None
    operation: str = ""
    call: Call[P] | None = None


class Dispatcher(Generic[P, A]):
    """Answers requests for `services`."""

    def __init__(
        self,
        models: Models,
        services: Sequence[Service[P, A]],
        *,
        authenticate: Authenticate[P],
        authorize: Authorize[P, A],
        translate_error: Callable[[Exception], AwsError | None],
        report: Callable[[Exception, HttpCall, Call[P] | None], None],
        clock: Callable[[], float],
        anonymous: Credential[P],
        region: str,
        serves_region: Callable[[str], bool] = sigv4.is_region,
        keys: sigv4.SigningKeys | None = None,
    ) -> None:
        """`translate_error` knows the errors of the layers above; `report` gets what nobody knew; `clock` gives seconds
        since the epoch; `anonymous` and `region` stand in the calls of unsigned operations.

        Raises KeyError for a service or operation that botocore has not, ValueError for a row that its model
        contradicts or whose input cannot be checked.
        """
        self._services = {service.name: _Bound(service, models.service(service.name)) for service in services}
        bound = self._services.values()
        self._by_target = {one.model.target_prefix: one for one in bound if one.model.target_prefix}
        query = [one for one in bound if one.model.protocol == serialize.QUERY]
        self._by_version = {one.model.version: one for one in query}
        if len(self._by_target) + len(self._by_version) < len(services):
            raise ValueError("two services have one target prefix or API version, or a protocol that is not spoken")
        self._authenticate = authenticate
        self._authorize = authorize
        self._translate_error = translate_error
        self._report = report
        self._clock = clock
        self._anonymous = anonymous
        self._region = region
        self._serves_region = serves_region
        self._keys = keys or sigv4.SigningKeys()

    def unserved(self) -> dict[str, list[str]]:
        """The operations of each service's model that have no row."""
        return {name: sorted(one.model.operations - one.operations.keys()) for name, one in self._services.items()}

    async def answer(self, http: HttpCall) -> HttpReply:
        """Never raises but for cancellation."""
        route: _Route[P, A] = _Route(protocol=serialize.JSON)
        try:
            return await self._serve(http, route)
        except AwsError as error:
            return self._render(error, http, route)
        except Exception as exception:  # noqa: BLE001 - the boundary
            known = self._known(exception)
            if known is None:
                self._report(exception, http, route.call)
            return self._render(known or _fault(route), http, route)

    def refuse(self, http: HttpCall, error: AwsError) -> HttpReply:
        """The answer to a request that is not looked into: its head tells which protocol it speaks."""
        route: _Route[P, A] = _Route(protocol=serialize.JSON)
        target = http.header("X-Amz-Target")
        if target is None:
            _guess_protocol(http, route)
            if "Action=" in http.query:
                route.protocol = serialize.QUERY
        else:
            with contextlib.suppress(AwsError):
                route.operation = self._find_target(target, route)
        return self._render(error, http, route)

    async def _serve(self, http: HttpCall, route: _Route[P, A]) -> HttpReply:
        if _content_type(http) == _FORM:
            route.protocol = serialize.QUERY
        route.operation = name = self._find(http, route)
        bound = route.bound
        assert bound is not None
        row, model = bound.operations[name]
        credential, region, claim = self._anonymous, self._region, None
        if row.signed:
            claim = self._claim(http, bound)
            region = claim.region
            credential = await self._prove(claim, await self._credential(claim), http, bound)
        elif len(http.body) > _LARGE_BODY:
            raise Common.MALFORMED_INPUT.error(f"a request without a signature may have {_LARGE_BODY} bytes")
        route.call = Call(
            service=bound.service.name,
            operation=name,
            params=await _perhaps_apart(http.body, lambda: _parameters(bound, model, http)),
            principal=credential.principal,
            account=credential.account,
            region=region,
            request_id=http.request_id,
            source_ip=http.source_ip,
            secure=http.secure,
            user_agent=http.header("User-Agent") or "",
            referer=http.header("Referer") or "",
            host=http.host,
            url=http.url,
            session_token=None if claim is None else claim.session_token,
        )
        wanted = row.access(route.call)
        await self._authorize(route.call, tuple(await wanted if isinstance(wanted, Awaitable) else wanted))
        return _success(bound, model, await row.handler(route.call), route, http.request_id)

    async def screen(self, http: HttpCall) -> HttpReply | None:
        """The refusal that a JSON request will get whatever its body says, which need not have come yet; None where that
        depends on it."""
        route: _Route[P, A] = _Route(protocol=serialize.JSON)
        try:
            target = http.header("X-Amz-Target")
            if target is not None:
                route.operation = self._find_target(target, route)
                assert route.bound is not None
                if route.bound.operations[route.operation][0].signed:
                    await self._credential(self._claim(http, route.bound))
        except AwsError as error:
            return self._render(error, http, route)
        except Exception as exception:  # noqa: BLE001 - the boundary
            known = self._known(exception)
            if known is None:
                self._report(exception, http, route.call)
            return self._render(known or _fault(route), http, route)
        return None

    # --- whom it is for

    def _find(self, http: HttpCall, route: _Route[P, A]) -> str:
        """The operation's name; sets the route's service. Raises AwsError."""
        target = http.header("X-Amz-Target")
        if target is not None:
            route.protocol = serialize.JSON
            return self._find_target(target, route)
        fields = {**_named(http.body if _holds_form(http) else b""), **_named(http.query)}
        action = fields.get("Action")
        if action is not None:
            route.protocol = serialize.QUERY
            return self._find_action(action, fields.get("Version"), http, route)
        _guess_protocol(http, route)
        scope = sigv4.scope_service(http)
        named = "" if scope is None else f" of {_short(scope)}"
        raise Common.MISSING_ACTION.error(
            f"The request names no operation{named}: it has neither an X-Amz-Target header nor an Action parameter."
        )

    def _find_target(self, target: str, route: _Route[P, A]) -> str:
        parts = _TARGET.fullmatch(target)
        bound = self._by_target.get(parts[1]) if parts else None
        if parts is None or bound is None:
            raise Common.UNKNOWN_OPERATION.error(
                f"No service here answers to X-Amz-Target '{_short(target)}'; {self._served()}."
            )
        route.bound = bound
        route.json_version = bound.model.json_version
        return _known_operation(bound, parts[2], f"Operation {_short(parts[2])} of {bound.service.name} is not known.")

    def _find_action(self, action: str, version: str | None, http: HttpCall, route: _Route[P, A]) -> str:
        bound = self._by_version.get(version) if version else None
        if bound is None:
            # Without a version that is known the scope tells the service, else the action where it is unmistakable.
            scope = sigv4.scope_service(http)
            services = list(self._by_version.values())
            found = [one for one in services if one.model.signing_name == scope]
            found = found or [one for one in services if action in one.model.operations]
            if version or len(found) != 1:
                shown = f" for version {_short(version)}" if version else ""
                raise Common.UNKNOWN_OPERATION.error(
                    f"Could not find operation {_short(action)}{shown}; {self._served()}."
                )
            bound = found[0]
        route.bound = bound
        unknown = f"Could not find operation {_short(action)} for version {bound.model.version}"
        return _known_operation(bound, action, unknown)

    def _served(self) -> str:
        return f"this endpoint serves {', '.join(sorted(self._services))}"

    # --- who it is from

    def _claim(self, http: HttpCall, bound: _Bound[P, A]) -> sigv4.Claim:
        now = datetime.fromtimestamp(self._clock(), tz=UTC)
        expected = sigv4.Expectation(
            service=bound.model.signing_name, now=now, window=bound.window, serves_region=self._serves_region
        )
        return sigv4.parse(http, expected)

    async def _credential(self, claim: sigv4.Claim) -> Credential[P]:
        credential = await self._authenticate(claim)
        if credential is None:
            raise Common.UNRECOGNIZED_CLIENT.error()
        return credential

    async def _prove(
        self, claim: sigv4.Claim, credential: Credential[P], http: HttpCall, bound: _Bound[P, A]
    ) -> Credential[P]:
        digest = await _perhaps_apart(http.body, lambda: hashlib.sha256(http.body).hexdigest())
        explain = bound.model.protocol == serialize.QUERY
        sigv4.verify(claim, http, credential.secret_access_key, self._keys, body_digest=digest, explain=explain)
        return credential

    # --- the answer

    def _known(self, exception: Exception) -> AwsError | None:
        """An error of the layers above, in the words of this one."""
        try:
            return self._translate_error(exception)
        except Exception as failure:  # noqa: BLE001 - the boundary holds, whatever is plugged in
            exception.add_note(f"and it could not be translated: {failure!r}")
            return None

    def _render(self, error: AwsError, http: HttpCall, route: _Route[P, A]) -> HttpReply:
        model = route.bound.model if route.bound is not None else None
        try:
            status, body = serialize.serialize_error(error, model, route.protocol, http.request_id)
        except Exception as exception:  # noqa: BLE001 - an error that its model does not admit
            self._report(exception, http, route.call)
            status, body = serialize.serialize_error(_fault(route), model, route.protocol, http.request_id)
        return _reply(status, body, route, http.request_id, code=error.code)


def _named(text: str | bytes) -> dict[str, str]:
    """Which operation the fields of a Query request name."""
    return parse.pick_fields(text, ("Action", "Version"))


def _holds_form(http: HttpCall) -> bool:
    """Whether the body of a Query request has fields; so may the query, whose come first."""
    return bool(http.body) and _content_type(http) in {"", _FORM}


def _parameters(bound: _Bound[Any, Any], model: OperationModel, http: HttpCall) -> dict[str, Any]:
    """Parsed and found to be as the model wants them. Raises AwsError."""
    if bound.model.protocol == serialize.QUERY:
        fields = parse.parse_form(http.query)
        if _holds_form(http):
            fields += parse.parse_form(http.body)
        parameters = parse.parse_query(model.input, fields)
    else:
        parameters = parse.parse_json(model.input, http.body)
    violations = validate.violations(model.input, parameters)
    if violations:
        raise bound.service.report(violations)
    return parameters


async def _perhaps_apart(body: bytes, work: Callable[[], R]) -> R:
    """A large body (a layer part has up to 20 MiB) is not worked on in the event loop."""
    return await asyncio.to_thread(work) if len(body) > _LARGE_BODY else work()


def _content_type(http: HttpCall) -> str:
    return (http.header("Content-Type") or "").partition(";")[0].strip().lower()


def _guess_protocol(http: HttpCall, route: _Route[Any, Any]) -> None:
    """For an error about a request that does not say whom it is for."""
    content_type = _content_type(http)
    route.protocol = serialize.QUERY if content_type == _FORM else serialize.JSON
    if _JSON_TYPE.fullmatch(content_type):
        route.json_version = content_type[-3:]


def _known_operation(bound: _Bound[Any, Any], name: str, unknown: str) -> str:
    if name in bound.operations:
        return name
    if name in bound.model.operations:
        raise Common.UNKNOWN_OPERATION.error(
            f"Operation {name} of {bound.service.name} is not implemented by this server."
        )
    raise Common.UNKNOWN_OPERATION.error(unknown)


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


def _fault(route: _Route[Any, Any]) -> AwsError:
    code = route.bound.service.fault_code if route.bound is not None else Common.INTERNAL_FAILURE.value.code
    return AwsError(code, Common.INTERNAL_FAILURE.value.message, status=500)


def _success(
    bound: _Bound[Any, Any], model: OperationModel, result: Mapping[str, Any], route: _Route[Any, Any], request_id: str
) -> HttpReply:
    if bound.model.protocol == serialize.QUERY:
        body = serialize.serialize_query(
            model.output, result, operation=model.name, namespace=bound.model.namespace, request_id=request_id
        )
    else:
        body = serialize.serialize_json(model.output, result)
    return _reply(200, body, route, request_id)


def _reply(status: int, body: bytes, route: _Route[Any, Any], request_id: str, *, code: str = "") -> HttpReply:
    content_type = "text/xml" if route.protocol == serialize.QUERY else f"application/x-amz-json-{route.json_version}"
    return HttpReply(
        status=status,
        headers=(("x-amzn-RequestId", request_id), ("Content-Type", content_type)),
        body=body,
        service="" if route.bound is None else route.bound.service.name,
        operation=route.operation,
        code=code,
    )
