"""Who asks, as people write it."""

import pytest

from auth.access import PrincipalKind
from auth.rehearsal.who import WhoUnclear, parse_who, principal_of

ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("text", "kind", "arn", "identity"),
    [
        ("user/ci", PrincipalKind.USER, f"arn:aws:iam::{ACCOUNT}:user/ci", f"arn:aws:iam::{ACCOUNT}:user/ci"),
        (
            "user/a/b/ci",
            PrincipalKind.USER,
            f"arn:aws:iam::{ACCOUNT}:user/a/b/ci",
            f"arn:aws:iam::{ACCOUNT}:user/a/b/ci",
        ),
        (
            "arn:aws:iam::111122223333:role/team/pull",
            PrincipalKind.ROLE_SESSION,
            "arn:aws:sts::111122223333:assumed-role/pull/rehearsal",
            "arn:aws:iam::111122223333:role/team/pull",
        ),
        (
            "assumed-role/pull/build-7",
            PrincipalKind.ROLE_SESSION,
            f"arn:aws:sts::{ACCOUNT}:assumed-role/pull/build-7",
            f"arn:aws:iam::{ACCOUNT}:role/pull",
        ),
        (
            "arn:aws:sts::111122223333:assumed-role/pull/build-7",
            PrincipalKind.ROLE_SESSION,
            "arn:aws:sts::111122223333:assumed-role/pull/build-7",
            "arn:aws:iam::111122223333:role/pull",
        ),
        (
            "federated-user/bob",
            PrincipalKind.FEDERATED_USER,
            f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
            f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
        ),
        ("root", PrincipalKind.ROOT, f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:root"),
        ("anonymous", PrincipalKind.ANONYMOUS, "anonymous", ""),
    ],
)
def test_who_is_named(text: str, kind: PrincipalKind, arn: str, identity: str):
    principal = principal_of(parse_who(text, ACCOUNT), at=0.0)
    assert (principal.kind, principal.arn, principal.identity_arn) == (kind, arn, identity)


def test_who_shows_a_token_of_a_provider_is_vouched_for_by_it():
    principal = principal_of(parse_who("oidc-provider/ci.example.test/realm", ACCOUNT), at=0.0)
    assert principal.kind is PrincipalKind.ANONYMOUS
    assert principal.session is not None
    assert principal.session.provider == f"arn:aws:iam::{ACCOUNT}:oidc-provider/ci.example.test/realm"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ci",
        "user/",
        "group/admins",
        "assumed-role/pull",
        "role/a b",
        "arn:aws:s3:::bucket",
        "arn:aws:iam::1:user/a",
    ],
)
def test_what_names_nobody_is_refused_with_the_forms(text: str):
    with pytest.raises(WhoUnclear, match=r"user/NAME"):
        parse_who(text, ACCOUNT)


def test_sessions_of_a_role_are_the_same_identity():
    named = [parse_who(text, ACCOUNT) for text in ("role/pull", "assumed-role/pull/a", "role/Pull")]
    assert len({who.identity for who in named}) == 1
    assert parse_who("user/pull", ACCOUNT).identity != named[0].identity
