"""The catalogue holds what the service models have, and is whole in itself."""

import botocore.loaders
import pytest

from auth.authorize import KEYS
from auth.policy.catalogue import Level, catalogue

MODELS = botocore.loaders.Loader()


@pytest.mark.parametrize("service", catalogue().services)
def test_every_operation_of_the_model_is_an_action(service: str):
    operations = set(MODELS.load_service_model(service, "service-2")["operations"])
    assert operations <= {action.name for action in catalogue().actions_of(service)}


def test_every_key_that_this_server_gives_is_known():
    for key in KEYS:
        assert catalogue().key(f"{key}x" if key.endswith("/") else key) is not None, key


def test_every_key_of_an_action_is_known():
    known = catalogue()
    for service in known.services:
        for action in known.actions_of(service):
            for key in action.keys:
                assert known.key(f"{key}x" if key.endswith("/") else key) is not None, (action.full, key)


def test_actions_have_their_level_and_resources():
    action = catalogue().action("ECR:putimage")
    assert action is not None
    assert (action.full, action.level) == ("ecr:PutImage", Level.WRITE)
    assert [one.name for one in action.types or ()] == ["repository"]
    login = catalogue().action("ecr:GetAuthorizationToken")
    assert login is not None
    assert login.types == ()
    newer = catalogue().action("ecr:StartReplicationBackfill")
    assert newer is not None
    assert newer.types is None


def test_keys_of_tags_are_found_by_any_tag_and_not_without_one():
    known = catalogue().key("AWS:ResourceTag/Team")
    assert known is not None
    assert known.tagged
    assert catalogue().key("aws:ResourceTag") is None
    assert catalogue().key("aws:ResourceTag/") is None
    assert catalogue().key("aws:username/x") is None


def test_a_pattern_stands_for_the_actions_that_it_matches():
    assert [one.full for one in catalogue().matching("ecr:put?mage")] == ["ecr:PutImage"]
    assert {one.service for one in catalogue().matching("*:Tag*")} >= {"ecr", "iam", "organizations"}
    assert catalogue().matching("s3:*") == ()
