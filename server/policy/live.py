"""What a server has stored, for trying decisions beside it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from auth.access import Access, Circumstances, Principal, PrincipalKind
from auth.authorize import Gate, Resources
from auth.directory import Directory
from auth.epoch import Epoch
from auth.iam.managed import CATALOGUE
from auth.organizations.guardrails import OrganizationGuardrails
from auth.organizations.resources import OrganizationResources
from auth.policy.evaluate import InForce, Request
from auth.rehearsal.who import Who, principal_of
from auth.resources import IamResources
from auth.rows.entities import EntityKind, find_entity
from auth.rows.providers import find_provider_named
from config.settings import Settings
from registry.facts import RegistryFacts
from server.policy.files import Unusable
from server.stores import existing_database
from store.database import Database

_KINDS: Final = {PrincipalKind.USER: EntityKind.USER, PrincipalKind.ROLE_SESSION: EntityKind.ROLE}


class Live:
    """Looks up who there is and what counts for them. Nothing that it decides is on record."""

    def __init__(self, database: Database, settings: Settings) -> None:
        epoch = Epoch(database, time.monotonic)
        self._database = database
        self._region = settings.account.region
        self._directory = Directory(database, epoch, managed=CATALOGUE, guardrails=OrganizationGuardrails(database))
        self._resources: dict[str, Resources] = {
            "ecr": RegistryFacts(database, self._directory, epoch),
            "iam": IamResources(database, self._directory),
            "organizations": OrganizationResources(database),
        }
        self._anonymous_pull = settings.auth.anonymous_pull

    async def principal(self, who: Who, *, at: float) -> Principal:
        """Raises Unusable where there is no such user, role, provider or account; DatabaseUnavailable."""
        if who.kind in _KINDS:
            kind = _KINDS[who.kind]
            stored = await find_entity(self._database, kind, who.account, who.name)
            if stored is None or (who.path not in {"/", stored.path}):
                raise Unusable(f"there is no {kind} {who.name} in account {who.account}")
            return principal_of(
                Who(who.kind, who.account, stored.name, stored.path, who.session), at=at, identity_id=stored.id
            )
        if who.kind is PrincipalKind.FEDERATED_USER:
            raise Unusable("who federated a user is not stored: describe federated users in files")
        if who.provider:
            if await find_provider_named(self._database, who.provider) is None:
                raise Unusable(f"there is no identity provider {who.provider}")
        elif who.account and await self._directory.account_status(who.account) is None:
            raise Unusable(f"there is no account {who.account}")
        return principal_of(who, at=at)

    async def scene(self, principal: Principal, access: Access, *, at: float) -> tuple[Request, InForce]:
        """What counts now, at another time. Raises DatabaseUnavailable."""
        gate = Gate(self._directory, self._resources, clock=lambda: at, anonymous_pull=self._anonymous_pull)
        parts = access.resource.split(":", 5)
        region = parts[3] if len(parts) == 6 and parts[3] else self._region
        judgement = await gate.judge(principal, access, Circumstances(region=region))
        request = judgement.request
        context = {key: value for key, value in request.context.items() if key != "aws:securetransport"}
        return Request(principal, request.action, request.resource, context), judgement.force


@asynccontextmanager
async def open_live(settings: Settings) -> AsyncIterator[Live]:
    """Beside a server that may be running. Raises DatabaseUnavailable."""
    async with existing_database(settings) as database:
        yield Live(database, settings)
