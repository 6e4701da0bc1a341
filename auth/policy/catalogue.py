"""What can stand in a policy: actions, the resources that they are about, and condition keys.

The facts are those of AWS's Service Authorization Reference and of IAM's page "AWS global condition context keys"; they lie in
`catalogue.json`, in full for the services whose policies are written here. Operations that are newer than that reference
have neither resources nor keys there, and of them nothing is concluded. What is asked beside the assuming of a role
(sts:TagSession and the like) has the keys of that, as it is asked of the same request.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

from auth.policy.patterns import SEGMENTS, Token, Wild, compile_match, plain_tokens


class Level(StrEnum):
    """What an action does, by AWS's words for access levels."""

    LIST = "list"
    READ = "read"
    TAGGING = "tagging"
    WRITE = "write"
    PERMISSIONS = "permissions"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """`arn` has names in braces where ARNs differ; `form` is it, taken apart."""

    name: str
    arn: str
    form: tuple[Token, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Action:
    """`types` are the resources that it is about: none, or None where that is not known. `keys` are the condition keys that
    go with it beside the global ones, in lower case; one that ends in a slash stands for all that begin so."""

    service: str
    name: str
    level: Level
    types: tuple[ResourceType, ...] | None
    keys: frozenset[str]

    @property
    def full(self) -> str:
        return f"{self.service}:{self.name}"


@dataclass(frozen=True, slots=True)
class Key:
    """A condition key. `type` is String, ARN, Bool, Date, Numeric or IPAddress. A `tagged` one is followed by the tag's own
    key; one that is `several` may have many values; one that is not `everywhere` goes with some actions only; one that is
    `always` there is in every request."""

    name: str
    type: str
    several: bool
    everywhere: bool
    always: bool

    @property
    def tagged(self) -> bool:
        return self.name.endswith("/")


class Catalogue:
    """Looked up by what is written in policies."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        """`facts` as in `catalogue.json`."""
        self._keys = {
            name.lower(): _key(name, kind, everywhere=name not in _OF_ACTIONS) for name, kind in facts["global"].items()
        }
        self._services: dict[str, dict[str, Action]] = {}
        for service, known in facts["services"].items():
            self._keys |= {name.lower(): _key(name, kind, everywhere=False) for name, kind in known["keys"].items()}
            self._services[service] = _actions(service, known)
        self._names = {
            service: "\n".join(one.name.lower() for one in known.values()) for service, known in self._services.items()
        }
        self._others = frozenset(facts["others"])
        self._found: dict[str, tuple[Action, ...]] = {}

    @property
    def services(self) -> tuple[str, ...]:
        """Those whose actions are known."""
        return tuple(self._services)

    @property
    def prefixes(self) -> frozenset[str]:
        """Of all services that there are."""
        return self._others.union(self._services)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of all keys, as AWS writes them."""
        return tuple(key.name for key in self._keys.values())

    def actions_of(self, service: str) -> tuple[Action, ...]:
        return tuple(self._services.get(service, {}).values())

    def action(self, written: str) -> Action | None:
        """The action of exactly that name, in any case."""
        service, _, name = written.lower().partition(":")
        return self._services.get(service, {}).get(name)

    def matching(self, pattern: str) -> tuple[Action, ...]:
        """The known actions that an Action stands for (`ecr:Get*`, `*`)."""
        pattern = pattern.lower()
        found = self._found.get(pattern)
        if found is None:
            found = self._found[pattern] = self._match(pattern)
        return found

    def key(self, written: str) -> Key | None:
        """The key of that name, in any case; of `aws:ResourceTag/team` that of all tags."""
        lowered = written.lower()
        found = self._keys.get(lowered)
        if found is not None and not found.tagged:
            return found
        stem, slash, tag = lowered.partition("/")
        return self._keys.get(stem + slash) if slash and tag else None

    def _match(self, pattern: str) -> tuple[Action, ...]:
        service, colon, name = pattern.partition(":")
        if not colon:
            name = "*"
        if service != "*":
            candidates = self._services.get(service, {})
        else:
            candidates = {
                f"{one.service} {key}": one for known in self._services.values() for key, one in known.items()
            }
        if name == "*":
            return tuple(candidates.values())
        names = self._names.get(service, "")
        if service != "*" and not all(piece in names for piece in name.replace("?", "*").split("*")):
            return ()
        matches = compile_match(plain_tokens(name))
        return tuple(one for one in candidates.values() if matches(one.name.lower()))


def nearest(written: str, names: Iterable[str]) -> str:
    """The name that is probably meant, or nothing."""
    spelt = {name.lower(): name for name in names}
    close = difflib.get_close_matches(written.lower(), spelt, n=1, cutoff=0.75)
    return spelt[close[0]] if close else ""


@cache
def catalogue() -> Catalogue:
    """What is known."""
    return Catalogue(json.loads(files("auth.policy").joinpath("catalogue.json").read_text("utf-8")))


_OF_ACTIONS: Final = frozenset({"aws:RequestTag/", "aws:ResourceTag/", "aws:TagKeys"})
"""Global keys which the reference lists with each action that has them."""


def _key(name: str, kind: str, *, everywhere: bool) -> Key:
    bare = kind.removesuffix("!")
    several = bare.startswith("ArrayOf")
    return Key(name, bare.removeprefix("ArrayOf"), several, everywhere, kind.endswith("!"))


def _actions(service: str, known: Mapping[str, Any]) -> dict[str, Action]:
    types, keys = {}, {}
    for name, row in known["resources"].items():
        types[name] = ResourceType(name, row["arn"], _form(row["arn"]))
        keys[name] = row.get("keys", ())
    actions = {}
    for name, row in known["actions"].items():
        about = row.get("on")
        its = {key.lower() for key in row.get("keys", ())} | {key.lower() for one in about or () for key in keys[one]}
        actions[name.lower()] = Action(
            service,
            name,
            Level(row["level"]),
            None if about is None else tuple(types[one] for one in about),
            frozenset(its),
        )
    return actions


def _form(arn: str) -> tuple[Token, ...]:
    """One sign or more for each name in braces, within its segment of the ARN."""
    found: list[Token] = []
    colons = 0
    for part in arn.replace("}", "{").split("{")[:]:
        if part[:1].isupper():
            last = colons >= SEGMENTS - 1
            found += [Wild.ONE, Wild.MANY] if last else [Wild.ONE_WITHIN, Wild.MANY_WITHIN]
        elif part:
            found.append(part)
            colons += part.count(":")
    return tuple(found)
