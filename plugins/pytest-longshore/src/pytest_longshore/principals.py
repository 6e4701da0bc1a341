"""Who acts in a test: users, role sessions and root users, and what they may do."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from botocore.exceptions import ClientError

from pytest_longshore import simulation
from pytest_longshore.errors import LongshoreError
from pytest_longshore.probes import is_probed, probe, read_repository
from pytest_longshore.server import Key

if TYPE_CHECKING:
    from pytest_longshore.accounts import Account

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})


class Named(Protocol):
    """A thing with an ARN, such as a Repository."""

    @property
    def arn(self) -> str: ...


Resource: TypeAlias = str | Named
"""An ARN, `*`, something that has an ARN, or the name of a repository of the principal's account."""
Context: TypeAlias = Mapping[str, str | bool | int | float | list[str]]


@dataclass(frozen=True)
class DockerLogin:
    """For `docker login --username .. --password-stdin <registry>`."""

    registry: str
    username: str
    password: str = field(repr=False)


@dataclass
class Refusal:
    """What `refused` caught: the server's sentence."""

    message: str = ""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Principal:
    """Somebody with credentials. `identity_arn` is the user's or role's whose policies count."""

    account: "Account"
    arn: str
    key: Key
    identity_arn: str
    session_policy: str = field(default="", repr=False)
    source_ip: str = ""

    def __str__(self) -> str:
        return self.arn

    def at(self, source_ip: str) -> "Principal":
        """The same one, whose requests come from that address (aws:SourceIp)."""
        return replace(self, source_ip=source_ip)

    # -- acting

    def client(self, service: str, region: str = "") -> Any:
        """A boto3 client with its credentials."""
        return self.account.server.client(service, self.key, region, self.source_ip)

    @property
    def environment(self) -> dict[str, str]:
        """For the AWS CLI and other tools."""
        server = self.account.server
        variables = {
            "AWS_ACCESS_KEY_ID": self.key.id,
            "AWS_SECRET_ACCESS_KEY": self.key.secret,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": server.region,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**variables, "AWS_SESSION_TOKEN": self.key.token} if self.key.token else variables

    def docker_login(self) -> DockerLogin:
        """By ecr:GetAuthorizationToken, which it has to be allowed."""
        data = self.client("ecr").get_authorization_token()["authorizationData"][0]
        username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return DockerLogin(self.account.server.address, username, password)

    def docker_config(self, directory: Path) -> Path:
        """Logged in, for DOCKER_CONFIG: `directory`, with a config.json as `docker login` leaves it."""
        login = self.docker_login()
        pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps({"auths": {login.registry: {"auth": pair}}}))
        return directory

    # -- what it may do

    def allowed(
        self, actions: str | Iterable[str], resource: Resource = "*", *, context: Context | None = None
    ) -> None:
        """Fails the test unless it may do all of `actions` on the resource.

        Without `context` the server decides about a real request wherever one changes nothing (pulling, pushing,
        looking); else IAM's simulator decides, with those context keys.
        """
        __tracebackhide__ = True
        for action in _each(actions):
            answer = self._ask(action, resource, context)
            if not answer.allowed:
                raise AssertionError(
                    f"{self.arn} should be allowed {action} on {self._arn(resource)}:\n{answer.reason}"
                )

    def denied(
        self,
        actions: str | Iterable[str],
        resource: Resource = "*",
        *,
        context: Context | None = None,
        because: str = "",
    ) -> None:
        """Fails the test if it may do any of `actions` on the resource, or where the reason lacks the words `because`.

        Who decides: as for `allowed`.
        """
        __tracebackhide__ = True
        for action in _each(actions):
            answer = self._ask(action, resource, context)
            if answer.allowed:
                why = answer.reason or self._simulated_reason(action, resource)
                said = f"{self.arn} should be denied {action} on {self._arn(resource)}"
                raise AssertionError(f"{said}:\n{why}" if why else said)
            if because not in answer.reason:
                raise AssertionError(
                    f"{self.arn} is denied {action} on {self._arn(resource)}, but for another reason than "
                    f"{because!r}:\n{answer.reason}"
                )

    @contextmanager
    def refused(self, action: str = "") -> Iterator[Refusal]:
        """Fails the test unless the block ends with a request of any kind refused (for lack of leave for `action`)."""
        __tracebackhide__ = True
        refusal = Refusal()
        try:
            yield refusal
        except ClientError as error:
            if error.response["Error"]["Code"] not in _DENIED:
                raise
            refusal.message = str(error.response["Error"]["Message"])
        else:
            raise AssertionError(f"{self.arn} should be refused{f' {action}' if action else ''}, and nothing was")
        if action and f"to perform: {action} " not in f"{refusal.message} ":
            raise AssertionError(f"{self.arn} should be refused {action}, and is for something else:\n{refusal}")

    def _ask(self, action: str, resource: Resource, context: Context | None) -> simulation.Answer:
        __tracebackhide__ = True
        arn = self._arn(resource)
        repository = read_repository(arn)
        if context is None and is_probed(action, repository):
            sentence = probe(lambda region: self.client("ecr", region), action, repository)
            return simulation.Answer(not sentence, sentence)
        return simulation.simulate(self, action, arn, context or {})

    def _simulated_reason(self, action: str, resource: Resource) -> str:
        """Which statements allow what the server allowed, as far as the simulator can tell."""
        try:
            answer = simulation.simulate(self, action, self._arn(resource), {})
        except LongshoreError:
            return ""
        return answer.reason if answer.allowed else ""

    def _arn(self, resource: Resource) -> str:
        if not isinstance(resource, str):
            return resource.arn
        if resource == "*" or resource.startswith("arn:"):
            return resource
        return self.account.repository_arn(resource)


def _each(actions: str | Iterable[str]) -> list[str]:
    return [actions] if isinstance(actions, str) else list(actions)
