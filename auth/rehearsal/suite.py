"""A table of cases: who may what, and who may not (docs/policies.md describes the file)."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import starmap
from typing import Final, TypeVar

from auth.access import Access, PrincipalKind, Value
from auth.policy.document import Kind, Policy
from auth.policy.evaluate import PolicySet
from auth.rehearsal.scene import Given, level_of
from auth.rehearsal.what import WhatUnclear, accesses, check_key, parse_actions, parse_resource
from auth.rehearsal.who import Who, WhoUnclear, parse_who
from auth.rehearsal.written import Written

ALLOW: Final = "allow"
DENY: Final = "deny"
_ACCOUNT: Final = re.compile(r"[0-9]{12}", re.ASCII)
_TOP: Final = ("account", "region", "live", "principals", "resources", "registry", "organization", "defaults", "cases")
_PRINCIPAL: Final = ("policies", "boundary", "session", "tags")
_RESOURCE: Final = ("policy", "trust", "tags")
_ASKED: Final = (
    "principal", "action", "resource", "context", "contexts", "without", "at", "expect", "reason", "statement",
)  # fmt: skip
_MOST: Final = 100_000
"""Decisions that one file may ask for."""
_ROOTLIKE: Final = frozenset({PrincipalKind.ROOT, PrincipalKind.ANONYMOUS})

Load = Callable[[str, Kind], Policy]
"""Reads the policy that a table names. Raises what its caller knows."""


@dataclass(frozen=True, slots=True)
class Persona:
    """What is said of somebody who asks."""

    policies: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thing:
    """What is said of a resource."""

    policy: Policy | None = None
    trust: Policy | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One decision and what it is expected to be. `reason` is a part of why, `statements` those that decide; `at` is in
    seconds since the epoch, None where any time will do; line and column are where it is asked for."""

    name: str
    who: Who
    access: Access
    context: Mapping[str, Value | None]
    expect: str
    reason: str
    statements: tuple[str, ...]
    at: float | None
    line: int
    column: int
    apart: str = ""
    """What tells it from the same with another of its `contexts`."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A table. `live`: what is stored counts, too."""

    account: str
    region: str
    live: bool
    personas: Mapping[tuple[PrincipalKind, str, str], Persona]
    things: Mapping[str, Thing]
    registry: Policy | None
    controls: tuple[PolicySet, ...] | None
    cases: tuple[Case, ...]
    policies: tuple[Policy, ...]
    """Those of all files that it names."""

    def given(self, case: Case) -> Given:
        """What counts for a case."""
        persona = self.personas.get(case.who.identity, Persona())
        thing = self.things.get(case.access.resource, Thing())
        return Given(
            persona.policies,
            persona.boundary,
            persona.session,
            self.controls,
            thing.policy,
            self.registry,
            thing.trust,
            persona.tags,
            thing.tags,
            case.context,
        )


def read_suite(root: Written, load: Load, *, account: str, region: str, live: bool) -> Suite:
    """`account` and `region` stand in where the table names none. Raises Refused, and what `load` raises."""
    return _Reader(root, load, account, region, live=live).read()


Made = TypeVar("Made")


class _Reader:
    def __init__(self, root: Written, load: Load, account: str, region: str, *, live: bool) -> None:
        self._top = root.members(*_TOP)
        self._load = load
        self._account, self._region = account, region
        self._live = live
        self._policies: dict[Policy, None] = {}
        self._root = root

    def read(self) -> Suite:
        top = self._top
        if "account" in top:
            self._account = top["account"].text()
            if not _ACCOUNT.fullmatch(self._account):
                top["account"].refuse(f"an account has 12 digits, not `{self._account}`")
        if "region" in top:
            self._region = top["region"].text()
        if "live" in top:
            self._live = top["live"].choice("true", "false") == "true" or self._live
        personas = {}
        for name, described in self._section("principals"):
            who = self._who(name, described)
            if who.identity in personas:
                described.refuse("the same principal stands twice")
            personas[who.identity] = self._persona(described, who)
        things: dict[str, Thing] = {}
        for name, described in self._section("resources"):
            resource = self._resource(name, described)
            if resource in things:
                described.refuse("the same resource stands twice")
            things[resource] = self._thing(described, resource)
        registry = self._policy(top["registry"], Kind.REGISTRY) if "registry" in top else None
        controls = None
        if "organization" in top:
            controls = tuple(level_of(self._policy(one, Kind.CONTROL)) for one in top["organization"].several())
        defaults = top["defaults"].members(*_ASKED) if "defaults" in top else {}
        if "cases" not in top:
            self._root.refuse("cases are wanted: a list of what is asked, and what is expected")
        cases: list[Case] = []
        for one in top["cases"].several():
            for case in self._cases(one, defaults, personas):
                cases.append(case)
                if len(cases) > _MOST:
                    one.refuse(f"more than {_MOST} decisions are too many for one file")
        return Suite(
            self._account,
            self._region,
            self._live,
            personas,
            things,
            registry,
            controls,
            tuple(cases),
            tuple(self._policies),
        )

    # what there is

    def _section(self, name: str) -> Iterator[tuple[str, Written]]:
        if name in self._top:
            yield from self._top[name].members().items()

    def _persona(self, described: Written, who: Who) -> Persona:
        members = described.members(*_PRINCIPAL) if described.content is not None else {}
        if "policies" in members and who.kind in _ROOTLIKE:
            members["policies"].refuse(f"{who.short} has no identity-based policies")
        if "session" in members and who.kind is PrincipalKind.USER:
            members["session"].refuse("a user has no session policies; a role and a federated user have")
        return Persona(
            tuple(self._several(members.get("policies"), Kind.IDENTITY)),
            self._policy(members["boundary"], Kind.BOUNDARY) if "boundary" in members else None,
            tuple(self._several(members["session"], Kind.SESSION)) if "session" in members else None,
            self._tags(members.get("tags")),
        )

    def _thing(self, described: Written, resource: str) -> Thing:
        members = described.members(*_RESOURCE) if described.content is not None else {}
        if "policy" in members and ":repository/" not in resource:
            members["policy"].refuse("only a repository has a policy; a role has a trust")
        if "trust" in members and ":role/" not in resource:
            members["trust"].refuse("only a role has a trust policy")
        return Thing(
            self._policy(members["policy"], Kind.REPOSITORY) if "policy" in members else None,
            self._policy(members["trust"], Kind.TRUST) if "trust" in members else None,
            self._tags(members.get("tags")),
        )

    def _several(self, written: Written | None, kind: Kind) -> list[Policy]:
        return [] if written is None else [self._policy(one, kind) for one in written.several()]

    def _policy(self, written: Written, kind: Kind) -> Policy:
        try:
            policy = self._load(written.text(), kind)
        except PolicyUnreadable as error:
            written.refuse(str(error))
        self._policies[policy] = None
        return policy

    def _tags(self, written: Written | None) -> dict[str, str]:
        return {} if written is None else {name: value.text() for name, value in written.members().items()}

    # what is asked

    def _cases(
        self,
        written: Written,
        defaults: Mapping[str, Written],
        personas: Mapping[tuple[PrincipalKind, str, str], Persona],
    ) -> Iterator[Case]:
        """One for each principal, context, action and resource."""
        own = written.members("name", *_ASKED)
        asked = {**defaults, **own}
        for name in ("principal", "action", "expect"):
            if name not in asked:
                written.refuse(f"{name} is wanted, here or in the defaults")
        expect = asked["expect"].choice(ALLOW, DENY)
        name = own["name"].text() if "name" in own else ""
        reason = asked["reason"].text() if "reason" in asked else ""
        statements = tuple(asked["statement"].texts()) if "statement" in asked else ()
        at = self._time(asked["at"]) if "at" in asked else None
        actions = [action for one in asked["action"].several() for action in self._actions(one)]
        resources = ["*"]
        if "resource" in asked:
            resources = [self._resource(one.text(), one) for one in asked["resource"].several()]
        contexts = list(self._contexts(defaults, own))
        for one in asked["principal"].several():
            who = self._who(one.text(), one)
            if not self._live and who.identity not in personas and who.kind not in _ROOTLIKE:
                one.refuse(f"`{one.text()}` is not among the principals of this file")
            for context, apart in contexts:
                for access in accesses(actions, resources):
                    place = written.line, written.column
                    yield Case(name, who, access, context, expect, reason, statements, at, *place, apart)

    def _contexts(
        self, defaults: Mapping[str, Written], own: Mapping[str, Written]
    ) -> Iterator[tuple[Mapping[str, Value | None], str]]:
        """The defaults', with the case's in its place, key by key; and that with each of `contexts`, and what they are."""
        common: dict[str, Value | None] = {}
        for members in (defaults, own):
            if "context" in members:
                common |= self._context(members["context"])
            if "without" in members:
                common |= self._absent(members["without"])
        several = own.get("contexts") or defaults.get("contexts")
        if several is None:
            yield common, ""
            return
        for one in several.several():
            yield {**common, **self._context(one)}, ", ".join(starmap(_show, one.members().items()))

    def _context(self, written: Written) -> dict[str, Value | None]:
        context: dict[str, Value | None] = {}
        for name, value in written.members().items():
            self._checked(value, lambda name=name: check_key(name))  # type: ignore[misc]
            if value.content is None:
                context[name.lower()] = None
            elif isinstance(value.content, tuple):
                context[name.lower()] = tuple(one.text() for one in value.items())
            else:
                context[name.lower()] = value.text()
        return context

    def _absent(self, written: Written) -> dict[str, Value | None]:
        absent: dict[str, Value | None] = {}
        for one in written.several():
            text = one.text()
            self._checked(one, lambda text=text: check_key(text))  # type: ignore[misc]
            absent[text.lower()] = None
        return absent

    def _actions(self, written: Written) -> tuple[str, ...]:
        return self._checked(written, lambda: parse_actions(written.text()))

    def _resource(self, text: str, written: Written) -> str:
        return self._checked(written, lambda: parse_resource(text, account=self._account, region=self._region))

    def _who(self, text: str, written: Written) -> Who:
        return self._checked(written, lambda: parse_who(text, self._account))

    def _time(self, written: Written) -> float:
        text = written.text()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            written.refuse(f"`{text}` is no time as in 2026-08-01T12:00:00Z")
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()

    def _checked(self, written: Written, make: Callable[[], Made]) -> Made:
        try:
            return make()
        except (WhatUnclear, WhoUnclear) as error:
            written.refuse(str(error))


def _show(name: str, value: Written) -> str:
    if value.content is None:
        return f"without {name}"
    return f"{name}={','.join(value.texts())}"


class PolicyUnreadable(Exception):
    """A file that a table names holds no such policy. The message is one line."""


def label(case: Case, region: str, account: str) -> str:
    """What people call it: its name and what it asks."""
    resource = case.access.resource.removeprefix(f"arn:aws:ecr:{region}:{account}:repository/")
    resource = resource.removeprefix(f"arn:aws:iam::{account}:")
    asked = f"{case.who.short} {case.access.action} on {resource}{f' ({case.apart})' if case.apart else ''}"
    return f"{case.name}: {asked}" if case.name else asked
