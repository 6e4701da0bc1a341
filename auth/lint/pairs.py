"""Statements beside each other: what one of them says already, or denies.

Of every statement the ones that may cover it are found by resource, action and condition, and only these are looked at; what
would take too long all the same is left, and said.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from auth.lint.coverage import Shape
from auth.lint.ground import Ground, Net, action_shape, found, listed
from auth.lint.reading import Asked, Listed, Part
from auth.lint.rules import Finding
from auth.policy.catalogue import Level
from auth.policy.conditions import Family, Quantifier
from auth.policy.document import Kind

PUSH: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
)
"""What docker push asks for (Amazon ECR, "IAM permissions for pushing an image")."""
PULL: Final = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
LOGIN: Final = "ecr:GetAuthorizationToken"


def check(ground: Ground) -> Iterator[Finding]:
    """All that is to be said of statements together."""
    parts = ground.document.parts
    if not parts:
        return
    first: dict[object, Part] = {}
    for part in parts:
        twin = first.setdefault(_meaning(part), part)
        if twin is not part:
            yield found("duplicate-statement", part, part.at, f"{twin.label} says the same")
    distinct = tuple(first.values())
    pairs = _Pairs(distinct, ground)
    for number in reversed(range(len(distinct))):  # of two that say the same the later is told
        yield from _check_covered(number, pairs)
    if ground.kind is not Kind.TRUST:
        yield from _check_images(pairs)
    if ground.kind is Kind.BOUNDARY:
        yield from _check_boundary(pairs)
    yield from _check_tagging(ground)
    if ground.budget.is_spent:
        message = "too many statements resemble each other: not all of them were compared"
        yield found("unfinished", None, parts[0].at, message)


def _meaning(part: Part) -> object:
    """Alike of statements that differ in their Sid and the order of things alone."""
    resources = part.resources
    return (
        part.compiled.effect,
        part.actions.name,
        frozenset(one.text.lower() for one in part.actions.values),
        None if resources is None else (resources.name, frozenset(one.text for one in resources.values)),
        None if part.compiled.principals is None else part.compiled.principals.excluded,
        frozenset((one.type, one.text) for one in part.principals),
        frozenset(map(_signature, part.asked)),
    )


@dataclass(frozen=True, slots=True)
class _Unit:
    """A part of a list that is covered, or not, by itself: one value, or all of a Not list. `shapes` are the values'."""

    text: str
    shapes: tuple[Shape, ...]
    excluded: bool


class _Covering:
    """The statements by one of their two lists. Numbers are positions in the document's well-formed statements."""

    def __init__(
        self, lists: Sequence[Listed | None], shape: Callable[[str], Shape], everything: Shape, ground: Ground
    ) -> None:
        self._ground = ground
        self._shape = shape
        self._everything = everything
        self._net: Net[int] = Net()
        self._excluding: list[tuple[int, tuple[Shape, ...]]] = []
        self._about_all: set[int] = set()
        self._found: dict[tuple[str, bool], frozenset[int]] = {}
        for number, one in enumerate(lists):
            if one is None:
                self._about_all.add(number)
            elif one.excluded:
                self._excluding.append((number, tuple(shape(value.text) for value in one.values)))
            else:
                for value in one.values:
                    self._net.add(shape(value.text), number)

    def units(self, one: Listed | None) -> list[_Unit]:
        """What of a list must be covered. Of None, which is everything, one unit."""
        if one is None:
            return [_Unit("*", (self._everything,), False)]
        if one.excluded:
            texts = sorted(value.text for value in one.values)
            return [_Unit("\n".join(texts), tuple(self._shape(text) for text in texts), True)]
        return [_Unit(value.text, (self._shape(value.text),), False) for value in one.values]

    def covering(self, unit: _Unit) -> frozenset[int]:
        """The statements whose list covers it."""
        key = (unit.text, unit.excluded)
        known = self._found.get(key)
        if known is None:
            known = self._found[key] = frozenset(self._find(unit))
        return known

    def _find(self, unit: _Unit) -> Iterator[int]:
        budget = self._ground.budget
        yield from self._about_all
        if unit.excluded:
            yield from self._net.covering(self._everything, budget)
        else:
            yield from self._net.covering(unit.shapes[0], budget)
        for number, shapes in self._excluding:
            if not budget.spend(sum(len(shape.signs) for shape in shapes) * len(unit.shapes)):
                return
            if unit.excluded:
                if all(any(wide.covers(narrow) for wide in unit.shapes) for narrow in shapes):
                    yield number
            elif not any(shape.meets(unit.shapes[0]) for shape in shapes):
                yield number


class _Pairs:
    """Which statements cover which."""

    def __init__(self, parts: Sequence[Part], ground: Ground) -> None:
        self.parts = parts
        self.ground = ground
        self.actions = _Covering([part.actions for part in parts], action_shape, action_shape("*"), ground)
        self.resources = _Covering(
            [part.resources for part in parts], ground.resource_shape, ground.resource_shape("*"), ground
        )
        self.idle: set[int] = set()
        """Statements that were said to have no effect: nothing else is so because of them."""
        self.clauses = [[_signature(asked) for asked in part.asked] for part in parts]
        self.by_clause: dict[object, list[int]] = {}
        for number, clauses in enumerate(self.clauses):
            self.by_clause.setdefault(clauses[0][0] if clauses else None, []).append(number)

    def wider(self, number: int) -> list[int]:
        """The statements that are about all its resources and callers, under no further conditions."""
        part = self.parts[number]
        around: Sequence[frozenset[int] | set[int]] = [
            self.resources.covering(unit) for unit in self.resources.units(part.resources)
        ]
        smallest = min(around, key=len, default=frozenset())
        buckets = {clause: None for clause, _ in self.clauses[number]} | {None: None}
        rivals = sum(len(self.by_clause.get(bucket, ())) for bucket in buckets)
        if rivals < len(smallest):
            candidates = [one for bucket in buckets for one in self.by_clause.get(bucket, ())]
        else:
            candidates = list(smallest)
        if len(candidates) > _MANY:
            first = self.actions.covering(self.actions.units(part.actions)[0])
            if len(self.actions.units(part.actions)) == 1 and len(first) < len(candidates):
                candidates = list(first)
        wider = []
        for other in candidates:
            if not self.ground.budget.spend():
                break
            if (
                other != number
                and other not in self.idle
                and all(other in numbers for numbers in around)
                and self._asks_less(other, number)
                and _names_more(self.parts[other], part)
            ):
                wider.append(other)
        return sorted(wider)

    def _asks_less(self, other: int, number: int) -> bool:
        """Whether all that the other asks for, this one does."""
        own = self.clauses[number]
        return all(
            any(name == its and _implies(name, values, wanted) for its, values in own)
            for name, wanted in self.clauses[other]
        )


_MANY: Final = 50
_Name = tuple[str, bool, Quantifier, bool, str]
_Clause = tuple[_Name, frozenset[str]]


def _signature(asked: Asked) -> _Clause:
    clause = asked.clause
    name = (clause.operator.name, clause.operator.negated, clause.quantifier, clause.if_exists, clause.key)
    folded = clause.operator.family in {Family.BOOLEAN, Family.PRESENCE, Family.STRING_ANY_CASE}
    return name, frozenset(value.lower() if folded else value for value in clause.values)


def _implies(name: _Name, values: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether a condition with `values` holds only where the same with `wanted` does."""
    _, negated, _, _, _ = name
    return wanted <= values if negated else values <= wanted


def _names_more(wide: Part, narrow: Part) -> bool:
    """Whether the one means whomever the other does, and lets them in as far: a session by its own name, or by everyone's
    with a condition on who it is, is limited by less."""
    if wide.principal_at is None or narrow.principal_at is None:
        return True
    its, own = wide.compiled.principals, narrow.compiled.principals
    assert its is not None
    assert own is not None
    if its.excluded or own.excluded:
        return its.excluded == own.excluded and {one.text for one in wide.principals} == {
            one.text for one in narrow.principals
        }
    if its.everyone:
        if any(one.type not in {"", "AWS"} for one in narrow.principals):
            return False
        return not wide.allows or not (_is_pinned(narrow) or any(":sts::" in one.text for one in narrow.principals))
    named = {(one.type, one.text) for one in wide.principals}
    return all((one.type, one.text) in named for one in narrow.principals)


def _is_pinned(part: Part) -> bool:
    return any(asked.clause.key == "aws:principalarn" for asked in part.asked)


def _check_covered(number: int, pairs: _Pairs) -> Iterator[Finding]:
    wider = pairs.wider(number)
    if not wider:
        return
    parts = pairs.parts
    part = parts[number]
    said: dict[str, int] = {}
    denied: dict[str, int] = {}
    units = pairs.actions.units(part.actions)
    for unit in units:
        around = pairs.actions.covering(unit)
        for other in wider:
            if other in around:
                if parts[other].compiled.effect == part.compiled.effect:
                    said.setdefault(unit.text, other)
                elif part.allows:
                    denied.setdefault(unit.text, other)
    yield from _say(part, pairs, units, denied, "denied", "is denied by")
    texts = {unit.text for unit in units}
    if texts <= denied.keys() or texts <= said.keys():
        pairs.idle.add(number)
    if not texts <= denied.keys():
        yield from _say(part, pairs, units, said, "shadowed", "is said by")


def _say(
    part: Part, pairs: _Pairs, units: Sequence[_Unit], by: dict[str, int], rule: str, verb: str
) -> Iterator[Finding]:
    if not by:
        return
    others = listed(pairs.parts[one].label for one in dict.fromkeys(by.values()))
    whole = len(by) == len({unit.text for unit in units})
    if whole:
        what = "everything that it allows" if part.allows else "everything that it denies"
        yield found(rule, part, part.at, f"{what} {verb} {others}")
    else:
        yield found(f"partly-{rule}", part, part.actions.at, f"{listed(by)} {verb} {others}")


# -- what undoes a policy

_UNDOING: Final = (
    "iam:DeleteUserPermissionsBoundary",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PutUserPermissionsBoundary",
    "iam:PutRolePermissionsBoundary",
)
_BY_TAG: Final = ("aws:resourcetag/", "ecr:resourcetag/", "ecs:resourcetag/", "iam:resourcetag/")
_OF_TAGGING: Final = ("aws:requesttag/", "aws:tagkeys")


def _check_boundary(pairs: _Pairs) -> Iterator[Finding]:
    """Whether whoever has the boundary may take it away."""
    parts = pairs.parts
    for action in _UNDOING:
        covering = pairs.actions.covering(_Unit(action, (action_shape(action),), False))
        if any(not parts[one].allows for one in covering):
            continue  # denied at least somewhere, by somebody who thought of it
        open_to = [one for one in sorted(covering) if not parts[one].asked]
        if open_to:
            part = parts[open_to[0]]
            message = f"{action} is allowed and nothing denies it: whoever has this boundary may undo it"
            yield found("removable-boundary", part, part.actions.at, message)
            return


def _check_tagging(ground: Ground) -> Iterator[Finding]:
    """Whether who is let in by a resource's tag may set that tag on others."""
    if ground.is_ceiling:
        return
    deciding: dict[str, str] = {}
    for part in ground.document.parts:
        tags = [one.clause.key.partition("/")[2] for one in part.asked if _is_by_tag(one)] if part.allows else []
        if tags:
            deciding |= {action.service: tags[0] for action in ground.actions(part)}
    for part in ground.document.parts:
        keys = {one.clause.key for one in part.asked}
        if not part.allows or part.actions.excluded or any(key.startswith((*_BY_TAG, *_OF_TAGGING)) for key in keys):
            continue
        for written in part.actions.values:
            tagging = [
                one for one in ground.catalogue.matching(written.text)
                if one.level is Level.TAGGING and one.service in deciding and one.name.lower().startswith(("tag", "untag"))
            ]  # fmt: skip
            if tagging and not written.text.startswith("*"):
                tag = deciding[tagging[0].service]
                how = f"ask for aws:RequestTag/{tag} or aws:TagKeys"
                message = f"{tagging[0].full} sets the tag {tag} on what that tag keeps the caller from: {how}"
                yield found("retagging", part, written.at, message)
                break


def _is_by_tag(asked: Asked) -> bool:
    return asked.clause.key.startswith(_BY_TAG) and not asked.clause.operator.negated


# -- what docker asks for


def _check_images(pairs: _Pairs) -> Iterator[Finding]:
    """Whether what it takes to push or pull is allowed together."""
    first: Part | None = None
    for number, part in enumerate(pairs.parts):
        if not part.allows or part.actions.excluded:
            continue
        allowed = {one.full for one in pairs.ground.actions(part)}
        if not allowed & {*PUSH, *PULL}:
            continue
        first = first or part
        for rule, needed, signs in (
            ("incomplete-push", PUSH, allowed & set(PUSH[1:])),
            ("incomplete-pull", PULL, allowed & set(PULL)),
        ):
            missing = [one for one in needed if one not in allowed] if signs else []
            missing = [one for one in missing if not _is_allowed(pairs, number, one)]
            if missing:
                verb = rule.rpartition("-")[2]
                message = (
                    f"docker {verb} also asks for {listed(missing)}, which is not allowed here on the same resources"
                )
                yield found(rule, part, part.actions.at, message)
    if first is not None and pairs.ground.kind in {Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION}:
        allowed = {one.full for part in pairs.parts if part.allows for one in pairs.ground.actions(part)}
        if LOGIN not in allowed:
            message = f'aws ecr get-login-password asks for {LOGIN} on Resource "*"'
            yield found("no-login", first, first.actions.at, message)


def _is_allowed(pairs: _Pairs, number: int, action: str) -> bool:
    """Whether other statements allow it on all resources of this one, or one on a part of them."""
    unit = _Unit(action, (action_shape(action),), False)
    able = pairs.actions.covering(unit)
    around = [pairs.resources.covering(one) for one in pairs.resources.units(pairs.parts[number].resources)]
    if not pairs.ground.budget.spend(len(able) + sum(map(len, around))):
        return True
    if all(any(one in able and pairs.parts[one].allows for one in numbers) for numbers in around):
        return True
    return any(
        pairs.parts[one].allows
        and all(number in pairs.resources.covering(its) for its in pairs.resources.units(pairs.parts[one].resources))
        for one in able
    )
