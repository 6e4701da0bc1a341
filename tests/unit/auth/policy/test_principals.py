from typing import Any

import pytest

from auth.access import Principal
from auth.policy.principals import Naming, compile_principals, is_principal
from tests.unit.auth.policy.made import ACCOUNT, ANONYMOUS, BUILD, FEDERATED, ISSUER, NORA, OTHER, ROLE, ROOT, WEB

ACCOUNT_ARN = f"arn:aws:iam::{ACCOUNT}:root"


def naming(written: dict[str, list[str]], principal: Principal, **rest: Any) -> Naming:
    context = {"aws:principalservicename": rest.pop("service")} if "service" in rest else {}
    given = {"anonymous": False, "pinned": False} | rest
    return compile_principals(written, excluded=False).naming(principal, context, **given)


@pytest.mark.parametrize(
    ("principal", "named", "worth"),
    [
        (NORA, NORA.arn, Naming.DIRECT),
        (NORA, NORA.identity_id, Naming.DIRECT),
        (NORA, ACCOUNT, Naming.ACCOUNT),
        (NORA, ACCOUNT_ARN, Naming.ACCOUNT),
        (NORA, OTHER, Naming.NONE),
        (NORA, NORA.arn + "x", Naming.NONE),
        (NORA, NORA.arn.upper().replace("ARN:AWS:IAM", "arn:aws:iam").replace("USER", "user"), Naming.NONE),
        (NORA, "*", Naming.DIRECT),
        (ROOT, ACCOUNT_ARN, Naming.ACCOUNT),
        (BUILD, BUILD.arn, Naming.DIRECT),
        (BUILD, ROLE, Naming.LIMITED),
        (BUILD, BUILD.identity_id, Naming.LIMITED),
        (BUILD, ACCOUNT, Naming.ACCOUNT),
        (BUILD, "*", Naming.LIMITED),
        (FEDERATED, FEDERATED.arn, Naming.DIRECT),
        (FEDERATED, NORA.identity_id, Naming.LIMITED),
        (FEDERATED, "*", Naming.LIMITED),
        (ANONYMOUS, "*", Naming.NONE),
        (ANONYMOUS, ACCOUNT, Naming.NONE),
        (WEB, "*", Naming.NONE),
    ],
)  # fmt: skip
def test_a_principal_is_named_as_closely_as_the_policy_says(principal: Principal, named: str, worth: Naming):
    assert naming({"AWS": [named]}, principal) is worth
    assert naming({"AWS": [f"arn:aws:iam::{OTHER}:user/paul", named]}, principal) is worth


def test_everyone_is_the_session_itself_where_a_condition_names_it():
    assert naming({"": ["*"]}, BUILD, pinned=True) is Naming.DIRECT


def test_everyone_includes_who_has_no_credentials_only_where_that_is_set():
    assert naming({"": ["*"]}, ANONYMOUS, anonymous=True) is Naming.ALONE
    assert naming({"AWS": [ACCOUNT]}, ANONYMOUS, anonymous=True) is Naming.NONE


def test_a_token_of_an_identity_provider_is_its_provider_and_nothing_else():
    assert naming({"Federated": [ISSUER]}, WEB) is Naming.ALONE
    assert naming({"Federated": [ISSUER + "/x"]}, WEB) is Naming.NONE
    assert naming({"": ["*"]}, WEB, anonymous=True) is Naming.NONE
    assert naming({"Federated": [ISSUER]}, BUILD) is Naming.NONE


def test_a_service_is_known_by_its_context_key():
    written = {"Service": ["ecs-tasks.amazonaws.com"]}
    assert naming(written, ANONYMOUS, service="ecs-tasks.amazonaws.com") is Naming.ALONE
    assert naming(written, ANONYMOUS, service="ecs.amazonaws.com") is Naming.NONE
    assert naming(written, NORA) is Naming.NONE


@pytest.mark.parametrize(
    ("principal", "excepted", "spared"),
    [
        (NORA, [NORA.arn, ACCOUNT], True),
        (NORA, [NORA.identity_id, ACCOUNT_ARN], True),
        (NORA, [NORA.arn], False),
        (NORA, [ACCOUNT], False),
        (NORA, ["*"], True),
        (ROOT, [ACCOUNT], True),
        (BUILD, [BUILD.arn, ROLE, ACCOUNT], True),
        (BUILD, [BUILD.arn, BUILD.identity_id, ACCOUNT], True),
        (BUILD, [ROLE, ACCOUNT], False),
        (BUILD, [BUILD.arn, ACCOUNT], False),
        (FEDERATED, [FEDERATED.arn, ACCOUNT], True),
        (ANONYMOUS, [ACCOUNT], False),
        (ANONYMOUS, ["*"], True),
    ],
)
def test_not_principal_leaves_out_whose_account_role_and_session_are_all_listed(
    principal: Principal, excepted: list[str], spared: bool
):
    assert compile_principals({"AWS": excepted}, excluded=True).spares(principal, {}) is spared


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("", ACCOUNT), ("AWS", ""), ("AWS", "nora"), ("AWS", "1234"), ("AWS", f"arn:aws:iam::{ACCOUNT}:group/devs"),
        ("AWS", f"arn:aws:iam::{ACCOUNT}:user/*"), ("AWS", f"arn:aws:iam::{ACCOUNT}:user/n?ra"), ("AWS", "arn:aws:iam::*:root"),
        ("AWS", f"arn:aws:sts::{ACCOUNT}:assumed-role/builder"), ("AWS", f"arn:aws:sts::{ACCOUNT}:assumed-role/builder/*"),
        ("Service", "*"), ("Service", "ecs"), ("Federated", "*"), ("CanonicalUser", "x"), ("Aws", ACCOUNT), ("Group", "devs"),
    ],
)  # fmt: skip
def test_what_can_be_no_principal_is_none(kind: str, value: str):
    assert not is_principal(kind, value)
    with pytest.raises(ValueError):
        compile_principals({kind: [value]}, excluded=False)
