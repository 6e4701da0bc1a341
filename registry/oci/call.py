"""One request on /v2/, as the handlers see it, and the room's use-cases that they call."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from urllib.parse import parse_qsl

from auth.access import Access, Circumstances, Principal
from auth.authenticate import Caller
from auth.authorize import Gate
from base.clock import Clock
from base.web import Continue
from registry.errors import NameInvalid, ParameterInvalid
from registry.names import NameMalformed, RegistryId, RepositoryName, parse_name
from registry.policies import Policies
from registry.pull import Pull
from registry.push import Push
from registry.repositories import Repositories
from registry.uploads import Body, Uploads
from store.database import Database

MAX_PAGE = 1000
DEFAULT_PAGE = 100


_ONE_DIGEST = re.compile(r"digest=sha(?:256|512)(?:%3A|:)[0-9a-f]+\Z", re.ASCII)


class RequestHeaders(Protocol):
    """Header fields, whatever their case."""

    def get(self, name: str, /) -> str | None: ...


Entered: TypeAlias = Callable[[Principal], Awaitable[None]]
"""Told who calls, once that is known. It may wait, and raises base.limits.Refused where that one calls too often."""


@dataclass(slots=True)
class Call:
    """A request, routed and authenticated."""

    method: str
    path: str
    query: str
    headers: RequestHeaders
    body: Body
    proceed: Continue
    host: str
    """The host that the client asked for."""
    registry: RegistryId
    groups: Mapping[str, str]
    caller: Caller
    circumstances: Circumstances
    route: str = ""
    """The template of the route that was found: for logs, metrics and traces."""
    entered: Entered | None = None
    _parameters: list[tuple[str, str]] | None = field(default=None)
    _name: RepositoryName | None = field(default=None)

    @property
    def name(self) -> RepositoryName:
        """The repository's name. Raises NameInvalid."""
        if self._name is None:
            try:
                self._name = parse_name(self.groups["name"])
            except NameMalformed as error:
                raise NameInvalid(str(error)) from error
        return self._name

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's parameters in order."""
        if self._parameters is None:
            if _ONE_DIGEST.match(self.query):  # the closing request of every upload
                self._parameters = [("digest", self.query[7:].replace("%3A", ":"))]
                return self._parameters
            try:
                self._parameters = (
                    parse_qsl(self.query, keep_blank_values=True, max_num_fields=200) if self.query else []
                )
            except ValueError as error:
                raise ParameterInvalid(f"the query cannot be read: {error}") from error
        return self._parameters

    def parameter(self, name: str) -> str | None:
        """The first parameter of that name."""
        for key, value in self.parameters:
            if key == name:
                return value
        return None

    def page(self) -> tuple[int, str]:
        """(n, last) of a listing. More than 1,000 is cut to 1,000. Raises ParameterInvalid."""
        # what is listed holds no U+0000, so the same entries follow a text and its part before one
        last = (self.parameter("last") or "").partition("\0")[0]
        text = self.parameter("n")
        if text is None:
            return DEFAULT_PAGE, last
        if not (text.isascii() and text.isdigit()):
            raise ParameterInvalid(f"n has to be a number of entries, not `{text[:40]}`")
        count = MAX_PAGE if len(text) > 9 else min(int(text), MAX_PAGE)
        return count, last


@dataclass(frozen=True, slots=True)
class Registry:
    """What the handlers call."""

    database: Database
    repositories: Repositories
    policies: Policies
    uploads: Uploads
    push: Push
    pull: Pull
    gate: Gate
    clock: Clock
    delete_referenced: bool

    async def allows(self, call: Call, accesses: Iterable[Access]) -> bool:
        """Whether the gate lets the caller do all of it."""
        return (await self.gate.decide(call.caller.principal, accesses, call.circumstances)).allowed
