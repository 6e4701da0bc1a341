"""Resources: that the actions are about them, and how far a pattern of them reaches."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from auth.lint.coverage import Shape
from auth.lint.ground import Ground, Net, found, listed
from auth.lint.reading import Listed, Part, Text
from auth.lint.rules import Finding
from auth.policy.catalogue import Action, Level
from auth.policy.document import Kind
from auth.policy.patterns import SEGMENTS, Token, Wild

_ACCOUNT: Final = re.compile(r"[0-9]{12}|aws|", re.ASCII)
_REPOSITORY_SIGNS: Final = re.compile(r"[a-z0-9._/-]*", re.ASCII)
_NAME_SIGN: Final = re.compile(r"[A-Za-z0-9]", re.ASCII)
_CHANGING: Final = frozenset({Level.WRITE, Level.TAGGING, Level.PERMISSIONS})
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")


def check(part: Part, ground: Ground) -> Iterator[Finding]:
    """All that is to be said of a statement's resources."""
    resources = part.resources
    if ground.kind is Kind.REPOSITORY and not part.actions.excluded:
        yield from _check_repository(part, ground)
    if resources is None:
        return
    if ground.kind in {Kind.IDENTITY, Kind.BOUNDARY, Kind.SESSION, Kind.CONTROL, Kind.REGISTRY}:
        yield from _check_fit(part, resources, ground)
    for written in resources.values:
        yield from _check_form(part, written)
    yield from _check_redundant(part, resources, ground)
    if not part.allows or ground.is_ceiling:
        return
    if resources.excluded:
        others = listed(one.text for one in resources.values)
        yield found(
            "allow-not-resource", part, resources.at, f"Allow with NotResource allows it on everything but {others}"
        )
        return
    for written in resources.values:
        yield from _check_reach(part, written, ground)


# -- whether actions and resources go together


def _check_fit(part: Part, resources: Listed, ground: Ground) -> Iterator[Finding]:
    """Known actions without a resource, and resources without an action where all actions are known."""
    if resources.excluded or part.actions.excluded:
        return
    actions = ground.actions(part)
    shapes = [ground.resource_shape(one.text) for one in resources.values]
    star = any(one.text == "*" for one in resources.values)
    # actions about the same types are fit or not together
    by_types: dict[tuple[str, ...], bool] = {}

    def fits(action: Action) -> bool:
        names = _about(action)
        known = by_types.get(names)
        if known is None:
            known = by_types[names] = star or any(_is_about(shape, action) for shape in shapes)
        return known

    unfit = False
    for written in part.actions.values:
        matched = () if written.text.startswith("*") else ground.catalogue.matching(written.text)
        without = [one for one in matched if not fits(one)]
        if matched and len(without) == len(matched):
            unfit = True
            yield found("action-without-resource", part, written.at, _without_resource(written, without, resources))
        elif without and part.allows and not ground.is_ceiling:
            message = f"of {written.text} these are about none of the statement's resources: {_named(without)}"
            needing = [one for one in without if not one.types]
            if needing:
                message = f'of {written.text} these are about no resource and need Resource "*": {_named(needing)}'
            yield found("left-out-by-resource", part, written.at, message)
    if (unfit and len(resources.values) == 1) or not ground.is_known(part):
        return  # the same thing, said of the resource; or there may be an action that is about it
    distinct = {_about(one): one for one in actions}.values()
    for written, shape in zip(resources.values, shapes, strict=True):
        if written.text != "*" and not any(_is_about(shape, action) for action in distinct):
            about = listed(sorted({one.name for action in actions for one in action.types or ()})) or "no resource"
            message = f"none of the actions is about {written.text}; what they are about: {about}"
            yield found("unfit-resource", part, written.at, message)


def _check_repository(part: Part, ground: Ground) -> Iterator[Finding]:
    """Actions of a repository's policy: about a repository they are, or refused."""
    for written in part.actions.values:
        action = ground.catalogue.action(written.text)
        if action is not None and action.types == ():
            message = f"{written.text} is about no repository, so no repository's policy is asked about it"
            yield found("action-without-resource", part, written.at, message)


def _about(action: Action) -> tuple[str, ...]:
    """Alike of actions about the same."""
    return (action.service,) if action.types is None else tuple(one.arn for one in action.types)


def _is_about(shape: Shape, action: Action) -> bool:
    """Where it is not known what an action is about, anything of its service may be it."""
    if action.types is None:
        return shape.meets(_form(("arn:", Wild.MANY_WITHIN, f":{action.service}:", Wild.MANY)))
    return any(shape.meets(_form(one.form)) for one in action.types)


@cache
def _form(form: tuple[Token, ...]) -> Shape:
    return Shape(form)


def _without_resource(written: Text, without: Sequence[Action], resources: Listed) -> str:
    if any(one.types for one in without):
        types = listed(sorted({one.name for action in without for one in action.types or ()}))
        return f"{written.text} is about {types}, and none of the resources is one: {listed(one.text for one in resources.values)}"
    return f'{written.text} is about no resource: it needs Resource "*"'


def _named(actions: Sequence[Action]) -> str:
    return listed([one.full for one in actions], 3)


# -- the ARN by itself


def _check_form(part: Part, written: Text) -> Iterator[Finding]:
    segments = written.text.split(":", SEGMENTS - 1)
    if len(segments) < SEGMENTS:
        return
    _, partition, service, region, account, name = segments
    if partition not in {"aws", "*"}:
        message = f"ARNs of this server begin with arn:aws: {written.text} is none of them"
        yield found("other-partition", part, written.at, message)
    why = ""
    if not _is_wild(account) and not _ACCOUNT.fullmatch(account):
        why = f"{account!r} is no account: accounts have 12 digits"
    elif service in {"ecr", "ecs"} and not region:
        why = f"resources of {service} are in a region, and this ARN names none"
    elif service in {"ecr", "ecs", "iam"} and not account:
        why = f"resources of {service} are in an account, and this ARN names none"
    elif service == "ecr" and name.startswith("repository/"):
        why = _repository_problem(name.removeprefix("repository/"))
    elif service == "ecr" and name.startswith("repository:"):
        why = "it is repository/NAME, with a slash"
    if why:
        yield found("impossible-resource", part, written.at, f"{written.text}: {why}")


def _repository_problem(name: str) -> str:
    plain = _VARIABLE.sub("", name).replace("*", "").replace("?", "")
    if not _REPOSITORY_SIGNS.fullmatch(plain):
        wrong = next(sign for sign in plain if not _REPOSITORY_SIGNS.fullmatch(sign))
        if wrong == ":":
            return "an image's tag or digest is no part of a repository's ARN"
        return f"names of repositories have no {wrong!r}" + (": they are in lower case" if wrong.isupper() else "")
    if name.startswith("/") or name.endswith("/") or "//" in name:
        return "names of repositories neither begin nor end with a slash, nor have two beside each other"
    return ""


def _is_wild(segment: str) -> bool:
    return "*" in segment or "?" in segment or "${" in segment


# -- how far it reaches


def _check_reach(part: Part, written: Text, ground: Ground) -> Iterator[Finding]:
    text = written.text
    if text == "*":
        yield from _check_star(part, written, ground)
        return
    segments = text.split(":", SEGMENTS - 1)
    if len(segments) < SEGMENTS:
        if len(segments) > 2:
            message = f"{text} ends early, so it matches every {_missing(len(segments))} of {segments[2]}"
            yield found("short-arn", part, written.at, message)
        return
    if segments[2] not in ground.catalogue.services:
        return
    account, name = segments[4:]
    if "*" in account or "?" in account:
        message = f"{text} is about every account's: a resource policy elsewhere that lets the caller in is enough"
        yield found("every-account", part, written.at, message)
    before, star, after = name.partition("*")
    if star and not after and before and _NAME_SIGN.fullmatch(before[-1]) and "/" in before:
        stem = before.partition("/")[2] or before
        message = f"{stem}* also matches {stem}-evil; to mean what is under {stem}, write {stem}/*"
        yield found("matches-siblings", part, written.at, message)
    elif star and after and "/" in after and before.endswith("/"):
        message = f"the * in {name} matches slashes, too: {name.replace('*', 'a/b', 1)}"
        yield found("star-crosses-slash", part, written.at, message)


def _missing(segments: int) -> str:
    return {3: "region, account and resource", 4: "account and resource", 5: "resource"}.get(segments, "resource")


def _check_star(part: Part, written: Text, ground: Ground) -> Iterator[Finding]:
    if ground.kind is Kind.REPOSITORY:  # it is about its own repository whatever it says
        return
    if any(one.clause.key in _OF_RESOURCES or one.clause.key.startswith(_TAGS) for one in part.asked):
        return
    if any(one.text.startswith("*") for one in part.actions.values):
        return  # said of the action
    changed = [one for one in ground.actions(part) if one.level in _CHANGING and one.types]
    if changed:
        types = listed(sorted({one.name for action in changed for one in action.types or ()}), 3)
        message = f'Resource "*" lets {_named(changed)} change every {types}'
        yield found("every-resource", part, written.at, message)


_TAGS: Final = ("aws:resourcetag/", "ecr:resourcetag/", "ecs:resourcetag/", "iam:resourcetag/", "aws:requesttag/")
_OF_RESOURCES: Final = frozenset(
    {"iam:passedtoservice", "iam:permissionsboundary", "iam:policyarn", "iam:awsservicename", "ecs:cluster"}
)


def _check_redundant(part: Part, resources: Listed, ground: Ground) -> Iterator[Finding]:
    if len(resources.values) < 2:
        return
    net: Net[int] = Net()
    shapes = [ground.resource_shape(one.text) for one in resources.values]
    for number, shape in enumerate(shapes):
        net.add(shape, number)
    for number, (written, shape) in enumerate(zip(resources.values, shapes, strict=True)):
        for other in net.covering(shape, ground.budget):
            wide = resources.values[other].text
            if other != number and (wide != written.text or other < number):
                message = f"{wide} covers {written.text}" if wide != written.text else f"{wide} stands twice"
                yield found("redundant-resource", part, written.at, message)
                break
