"""What the handlers of the ECR API are given, and what they call."""

from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

from auth.access import Principal
from auth.authorize import Gate
from auth.tokens import Tokens
from aws import dispatch
from registry.errors import ParameterInvalid
from registry.images import Images
from registry.links import Links
from registry.names import NameMalformed, RegistryId, RepositoryName, parse_name
from registry.policies import Policies
from registry.pull import Pull
from registry.push import Push
from registry.repositories import Repositories
from registry.uploads import Uploads
from store.database import Database

Call: TypeAlias = dispatch.Call[Principal]
Result: TypeAlias = dict[str, Any]


class Endpoint(Protocol):
    """Where clients reach a registry, as the host of this call makes it: with scheme, without a final slash."""

    def __call__(self, registry: RegistryId, call: Call, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Registry:
    """The room's use-cases."""

    database: Database
    repositories: Repositories
    policies: Policies
    images: Images
    uploads: Uploads
    push: Push
    pull: Pull
    links: Links
    tokens: Tokens
    gate: Gate
    endpoint: Endpoint


def registry_of(call: Call) -> RegistryId:
    """The registry that a call is about: `registryId`'s or the caller's, in the region that was signed for."""
    return RegistryId(call.params.get("registryId") or call.account, call.region)


def name_of(call: Call) -> RepositoryName:
    """`repositoryName`. Raises ParameterInvalid."""
    return read_name(call.params["repositoryName"], "repositoryName")


def read_name(text: str, parameter: str) -> RepositoryName:
    """Raises ParameterInvalid."""
    try:
        return parse_name(text)
    except NameMalformed as error:
        refuse(parameter, str(error), error)


def refuse(parameter: str, constraint: str, cause: Exception | None = None) -> NoReturn:
    """Raises ParameterInvalid in ECR's words."""
    raise invalid(parameter, constraint) from cause


def invalid(parameter: str, constraint: str) -> ParameterInvalid:
    """An InvalidParameterException in ECR's words."""
    return ParameterInvalid(f"Invalid parameter at '{parameter}' failed to satisfy constraint: '{constraint}'")
