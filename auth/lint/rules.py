"""What `longshore policy lint` looks for, as a table. docs/policies.md shows the same one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from auth.lint.reading import Span


class Level(IntEnum):
    """How bad it is."""

    NOTE = 1
    """Worth knowing."""
    WARNING = 2
    """Probably not what is meant, or more than is meant."""
    ERROR = 3
    """Refused when it is written, or without any effect."""

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Rule:
    """`meaning` is a sentence without capital and full stop."""

    id: str
    level: Level
    meaning: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a document. `at` is where; `statement` its statement's number from 0, or -1."""

    rule: Rule
    message: str
    at: Span
    statement: int = -1
    sid: str = ""


_ERROR, _WARNING, _NOTE = Level.ERROR, Level.WARNING, Level.NOTE

_TABLE: Final = (
    # the document
    ("malformed", _ERROR, "the document is refused when it is written: it is no JSON, or breaks the grammar of its kind"),
    ("too-long", _ERROR, "the document is longer than any policy of its kind may be"),
    ("duplicate-sid", _WARNING, "two statements have the same Sid, so nothing that names it says which of them is meant"),
    ("missing-version", _WARNING, "without Version a document counts as 2008-10-17, where variables are plain text"),
    ("old-version", _NOTE, "the document keeps to the language of 2008-10-17, which has no variables"),
    ("allows-nothing", _ERROR, "a boundary, session policy or trust policy without any Allow lets nobody do anything"),
    ("locks-everyone-out", _WARNING, "a Deny of everything to everyone, whatever else is allowed"),
    ("removable-boundary", _WARNING, "a boundary that lets whoever has it take it away, or exchange it"),
    ("unfinished", _NOTE, "the document is so large that not all of its statements were compared with each other"),
    # actions
    ("unknown-action", _ERROR, "no action of the service has that name, or matches that pattern"),
    ("unknown-service", _WARNING, "no service has that prefix"),
    ("foreign-service", _NOTE, "an action of a service that this server does not speak for; it has its effect in AWS only"),
    ("action-case", _NOTE, "the action is spelt otherwise in the reference; it works, but is not found by a search"),
    ("redundant-action", _NOTE, "another pattern of the same list covers the action"),
    ("every-action", _WARNING, "it allows every action that there is, or will be, of every service or of one"),
    ("far-reaching-action", _WARNING, "the pattern matches changes of permissions, or both what reads and what writes"),
    ("allow-not-action", _WARNING, "Allow with NotAction allows everything else, of every service, and what will be added"),
    ("escalation", _WARNING, "who may do this on everything can give themselves any other permission"),
    ("pass-any-role", _WARNING, "iam:PassRole on every role lends a service, and who uses it, any role's permissions"),
    ("assume-any-role", _WARNING, "sts:AssumeRole on every role leaves it to the trust policies alone who becomes what"),
    # resources
    ("unfit-resource", _ERROR, "none of the statement's actions is about such a resource, so this part of it never matches"),
    ("action-without-resource", _ERROR, "none of the statement's resources is one that the action is about, so it never matches"),
    ("impossible-resource", _ERROR, "no resource can have that ARN"),
    ("left-out-by-resource", _NOTE, "some actions of the pattern are about no resource, and need Resource * to be allowed"),
    ("every-resource", _WARNING, "it allows changes of every resource of an account, and of other accounts that let it"),
    ("every-account", _WARNING, "the resource's account is a wildcard: the statement reaches into every account that lets it"),
    ("short-arn", _WARNING, "an ARN that ends early matches every region, account or resource"),
    ("matches-siblings", _WARNING, "a wildcard right behind a name matches longer names, too: team* is also team-evil"),
    ("star-crosses-slash", _NOTE, "a wildcard between slashes matches slashes, too"),
    ("other-partition", _NOTE, "ARNs of this server begin with arn:aws, so the statement has its effect elsewhere only"),
    ("redundant-resource", _NOTE, "another pattern of the same list covers the resource"),
    ("allow-not-resource", _WARNING, "Allow with NotResource allows it on everything else, and on what will be made"),
    # conditions
    ("unknown-key", _ERROR, "no condition key has that name, so no request has it"),
    ("unfit-key", _ERROR, "none of the statement's actions has that condition key"),
    ("partly-unfit-key", _WARNING, "some of the statement's actions never have that condition key"),
    ("absent-key", _NOTE, "a key that AWS has, and this server never does"),
    ("unfit-operator", _WARNING, "the operator compares other things than the key holds"),
    ("unfit-value", _ERROR, "the value is none that the operator can compare, so it matches nothing"),
    ("impossible-value", _ERROR, "the key never has such a value"),
    ("wildcard-in-equals", _WARNING, "StringEquals takes * and ? for themselves"),
    ("every-address", _WARNING, "the addresses are all that there are"),
    ("set-operator-on-single", _WARNING, "ForAllValues and ForAnyValue are for keys that have several values"),
    ("several-without-set-operator", _WARNING, "a key with several values is compared without ForAllValues or ForAnyValue"),
    ("all-of-none", _WARNING, "ForAllValues is true where the key is absent, unless a Null condition asks for it"),
    ("absence-allows", _WARNING, "Allow with IfExists allows where the key is absent"),
    ("absence-escapes", _WARNING, "a Deny with that condition does not apply where the key is absent, as with long-term keys"),
    ("negation-allows", _NOTE, "Allow with a negated operator allows where the key is absent"),
    ("negations-together", _NOTE, "of several negated conditions of a Deny all must hold: whom one of them spares is spared"),
    ("if-exists-without-effect", _NOTE, "IfExists changes nothing: the key is always there, or the operator is negated"),
    ("contradiction", _ERROR, "conditions of the statement exclude each other, so it never matches"),
    ("expired", _WARNING, "the time in which the statement applied is over"),
    ("empty-condition", _NOTE, "a condition that asks for nothing"),
    ("name-in-any-account", _WARNING, "a principal is told by a name that every account can give to one of its own"),
    # variables
    ("variable-in-old-version", _ERROR, "variables are plain text in documents of the version 2008-10-17"),
    ("malformed-variable", _WARNING, "what begins like a variable is none, and counts as plain text"),
    ("misplaced-variable", _ERROR, "variables are plain text there"),
    ("variable-of-several", _ERROR, "a key with several values has no value as a variable"),
    # principals
    ("everyone", _WARNING, "the principal * is everyone, of every account, and no condition says otherwise"),
    ("whole-account", _NOTE, "an account as a principal leaves it to that account who in it may"),
    ("not-principal", _WARNING, "NotPrincipal is hard to get right: account, role and session must all be named"),
    ("unfit-principal", _ERROR, "such a principal never asks for that action"),
    ("any-subject", _WARNING, "whoever has an account with the identity provider may assume the role"),
    # between statements
    ("duplicate-statement", _WARNING, "another statement says the same"),
    ("shadowed", _WARNING, "another statement says it already"),
    ("partly-shadowed", _NOTE, "another statement says a part of it already"),
    ("denied", _WARNING, "a Deny covers what the statement allows, which therefore has no effect"),
    ("partly-denied", _NOTE, "a Deny covers a part of what the statement allows"),
    ("retagging", _WARNING, "tags decide who may what, and who is let in by them may set them"),
    ("incomplete-push", _NOTE, "pushing takes more actions than are allowed here"),
    ("incomplete-pull", _NOTE, "pulling takes more actions than are allowed here"),
    ("no-login", _NOTE, "docker login by the AWS CLI takes ecr:GetAuthorizationToken, which is not allowed here"),
)  # fmt: skip

RULES: Final[Mapping[str, Rule]] = MappingProxyType({row[0]: Rule(*row) for row in _TABLE})
