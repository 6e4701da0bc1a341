"""Encoded authorization messages: what they say, to whom, and for how long."""

import json
from dataclasses import replace

import pytest

from auth.access import Access, Circumstances, PrincipalKind
from auth.authorize import Gate, Judgement
from auth.directory import Directory
from auth.secrets import Vault
from auth.sts.messages import LIFETIME, MessageInvalid, Messages
from tests.rooms import Time
from tests.unit.auth.conftest import ACCOUNT, ROOT

OTHER = "210987654321"
RESOURCE = f"arn:aws:ecr:us-east-1:{OTHER}:repository/a"


@pytest.fixture
def messages(vault: Vault, clock: Time) -> Messages:
    return Messages(vault, clock)


@pytest.fixture
async def judgement(directory: Directory, clock: Time) -> Judgement:
    """Root asks for what is another account's."""
    access = Access("ecr:PutImage", RESOURCE, (("aws:TagKeys", ("a", "b")),))
    return await Gate(directory, {}, clock=clock).judge(ROOT, access, Circumstances(source_ip="192.0.2.1"))


def test_a_message_says_what_was_decided_about_whom(messages: Messages, judgement: Judgement):
    encoded = messages.encode(judgement)
    assert ROOT.arn not in encoded
    decoded = json.loads(messages.decode(encoded, ACCOUNT))
    assert (decoded["allowed"], decoded["explicitDeny"]) == (False, False)
    assert decoded["matchedStatements"] == {"items": []}
    context = decoded["context"]
    assert context["principal"] == {"id": ACCOUNT, "name": "", "arn": ROOT.arn}
    assert (context["action"], context["resource"]) == ("ecr:PutImage", RESOURCE)
    conditions = {
        one["key"]: [value["value"] for value in one["values"]["items"]] for one in context["conditions"]["items"]
    }
    assert conditions["aws:sourceip"] == ["192.0.2.1"]
    assert conditions["aws:tagkeys"] == ["a", "b"]


def test_the_callers_and_the_resources_account_may_read_it(messages: Messages, judgement: Judgement):
    encoded = messages.encode(judgement)
    assert messages.decode(encoded, ACCOUNT) == messages.decode(encoded, OTHER)
    with pytest.raises(MessageInvalid, match="another account"):
        messages.decode(encoded, "999999999999")
    nobody = replace(judgement.request.principal, account="", kind=PrincipalKind.ANONYMOUS)
    encoded = messages.encode(replace(judgement, request=replace(judgement.request, principal=nobody)))
    with pytest.raises(MessageInvalid):
        messages.decode(encoded, "")


def test_a_message_is_good_for_a_day(messages: Messages, judgement: Judgement, clock: Time):
    encoded = messages.encode(judgement)
    clock.pass_(LIFETIME - 1)
    messages.decode(encoded, ACCOUNT)
    clock.pass_(1)
    with pytest.raises(MessageInvalid, match="expired"):
        messages.decode(encoded, ACCOUNT)


def test_what_is_no_message_of_this_server_is_not_decoded(
    messages: Messages, judgement: Judgement, vault: Vault, clock: Time
):
    encoded = messages.encode(judgement)
    others = [
        "", "x", "é", encoded[:-2], encoded[:20], vault.encrypt(b"{}").decode(),
        vault.for_purpose("session tokens").encrypt(b"{}").decode(), Messages(Vault(["o" * 32]), clock).encode(judgement),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(MessageInvalid):
            messages.decode(other, ACCOUNT)
