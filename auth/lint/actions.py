"""Actions: that they are there, and what a pattern of them reaches."""

from collections.abc import Iterator
from typing import Final

from auth.lint.ground import Ground, Net, action_shape, found, listed
from auth.lint.reading import Part, Text
from auth.lint.rules import Finding
from auth.policy.catalogue import Action, Level
from auth.policy.document import Kind

_CHANGING: Final = frozenset({Level.WRITE, Level.TAGGING, Level.PERMISSIONS})
_SERVED: Final = frozenset({"ecr", "ecs", "iam", "sts", "organizations"})
ESCALATING: Final = {
    "iam:AddUserToGroup": "joins any group",
    "iam:AttachGroupPolicy": "attaches any policy to a group",
    "iam:AttachRolePolicy": "attaches any policy to a role",
    "iam:AttachUserPolicy": "attaches any policy to a user",
    "iam:CreateAccessKey": "makes keys of any user",
    "iam:CreateLoginProfile": "gives any user a password",
    "iam:CreatePolicyVersion": "rewrites any policy",
    "iam:DeleteRolePermissionsBoundary": "takes a role's boundary away",
    "iam:DeleteUserPermissionsBoundary": "takes a user's boundary away",
    "iam:PutGroupPolicy": "writes a policy into any group",
    "iam:PutRolePermissionsBoundary": "exchanges a role's boundary",
    "iam:PutRolePolicy": "writes a policy into any role",
    "iam:PutUserPermissionsBoundary": "exchanges a user's boundary",
    "iam:PutUserPolicy": "writes a policy into any user",
    "iam:SetDefaultPolicyVersion": "brings an older version of any policy back",
    "iam:UpdateAssumeRolePolicy": "lets anyone into any role",
    "iam:UpdateLoginProfile": "changes any user's password",
}
"""What gives whoever may do it everything, and how."""
_NARROWING: Final = frozenset({"iam:permissionsboundary", "iam:policyarn", "iam:passedtoservice"})


def check(part: Part, ground: Ground) -> Iterator[Finding]:
    """All that is to be said of a statement's actions."""
    for written in part.actions.values:
        yield from _check_name(part, written, ground)
    yield from _check_redundant(part, ground)
    if not part.allows:
        return
    if part.actions.excluded:
        if not ground.is_ceiling:
            others = listed(one.text for one in part.actions.values)
            message = f"Allow with NotAction allows everything but {others}: of every service, and what is added later"
            yield found("allow-not-action", part, part.actions.at, message)
        return
    for written in part.actions.values:
        if not ground.is_ceiling:
            yield from _check_reach(part, written, ground)
    if not ground.is_ceiling:
        yield from _check_escalation(part, ground)


def _check_name(part: Part, written: Text, ground: Ground) -> Iterator[Finding]:
    known = ground.catalogue
    service, colon, name = written.text.lower().partition(":")
    if service == "*" or not colon:
        if service == "*" and name.strip("*") and not known.matching(written.text):
            yield found("unknown-action", part, written.at, f"{written.text!r} matches no known action of any service")
        return
    if service not in known.services:
        if service not in known.prefixes:
            hint = ground.suggest(service, lambda: known.prefixes)
            yield found("unknown-service", part, written.at, f"there is no service {service!r}{hint}")
        else:
            yield from _say_foreign(part, written, service, ground)
        return
    if "*" in name or "?" in name:
        if not known.matching(written.text):
            yield found("unknown-action", part, written.at, f"{written.text!r} matches no action of {service}")
        return
    action = known.action(written.text)
    if action is None:
        hint = ground.suggest(written.text, lambda: [one.full for one in known.actions_of(service)])
        yield found("unknown-action", part, written.at, f"{written.text!r} is no action of {service}{hint}")
    elif action.full != written.text:
        yield found("action-case", part, written.at, f"{written.text} is spelt {action.full}")
    elif service not in _SERVED:
        yield from _say_foreign(part, written, service, ground)


def _say_foreign(part: Part, written: Text, service: str, ground: Ground) -> Iterator[Finding]:
    """Once for each service."""
    if service not in ground.foreign:
        ground.foreign.add(service)
        message = f"this server does not speak for {service}: {written.text} has its effect in AWS only"
        yield found("foreign-service", part, written.at, message)


def _check_redundant(part: Part, ground: Ground) -> Iterator[Finding]:
    net: Net[int] = Net()
    values = part.actions.values
    if len(values) < 2:
        return
    for number, written in enumerate(values):
        net.add(action_shape(written.text), number)
    for number, written in enumerate(values):
        for other in net.covering(action_shape(written.text), ground.budget):
            wide = values[other].text
            same = wide.lower() == written.text.lower()
            if other != number and (not same or other < number):
                message = f"{written.text} stands twice" if same else f"{wide} covers {written.text}"
                yield found("redundant-action", part, written.at, message)
                break


def _check_reach(part: Part, written: Text, ground: Ground) -> Iterator[Finding]:
    """What a pattern allows that it may not be meant to."""
    text = written.text
    matched = ground.catalogue.matching(text)
    name = text.partition(":")[2]
    if text.startswith("*") and not name.strip("*"):
        yield found("every-action", part, written.at, f"{text} allows every action of every service")
        return
    if "*" not in name and "?" not in name:
        return
    permissions = [one for one in matched if one.level is Level.PERMISSIONS]
    changing = [one for one in matched if one.level in _CHANGING]
    if permissions and ground.kind is not Kind.TRUST:
        message = f"{text} allows {len(matched)} actions, changes of permissions among them: {_names(permissions)}"
        yield found("far-reaching-action", part, written.at, message)
    elif name.strip("*") and _reaches_around(name) and changing and len(changing) < len(matched):
        reading = [one for one in matched if one.level not in _CHANGING]
        message = (
            f"{text} allows {len(matched)} actions, both reading ({_names(reading)}) and changing ({_names(changing)})"
        )
        yield found("far-reaching-action", part, written.at, message)


def _reaches_around(name: str) -> bool:
    """Whether it is more than a beginning."""
    return "*" in name[:-1] or "?" in name


def _names(actions: list[Action]) -> str:
    return listed([one.name for one in actions], 3)


def _check_escalation(part: Part, ground: Ground) -> Iterator[Finding]:
    if not _is_everything(part) or any(
        one.clause.key in _NARROWING or one.clause.key.startswith(("aws:resourcetag/", "iam:resourcetag/"))
        for one in part.asked
        if not one.clause.if_exists
    ):
        return
    for written in part.actions.values:
        if written.text.startswith("*"):
            continue  # said already
        reached = [one.full for one in ground.catalogue.matching(written.text)]
        if "iam:PassRole" in reached:
            why = "name the roles, or ask for iam:PassedToService"
            message = f"{written.text} on every role lends any role's permissions to a service: {why}"
            yield found("pass-any-role", part, written.at, message)
        if "sts:AssumeRole" in reached:
            message = (
                f"{written.text} on every role: whoever's trust policy lets the account in is what the caller becomes"
            )
            yield found("assume-any-role", part, written.at, message)
        ways = [one for one in reached if one in ESCALATING]
        if ways:
            how = f"{ways[0]} {ESCALATING[ways[0]]}" if len(ways) == 1 else listed(ways, 3)
            yield found("escalation", part, written.at, f"{how}: that is every permission of the account")


def _is_everything(part: Part) -> bool:
    """Whether the statement is about all users, roles and policies."""
    if part.resources is None or part.resources.excluded:
        return part.resources is not None
    return any(_is_all(one.text) for one in part.resources.values)


def _is_all(resource: str) -> bool:
    return resource == "*" or resource.rpartition(":")[2].partition("/")[2] == "*" or resource.endswith(":*")
