"""Access keys over the wire."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.live import LiveServer
from tests.wire.iam.conftest import ACCOUNT, refusal

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

INVALID = ("InvalidClientTokenId", 403, "The security token included in the request is invalid.")


def unknown(identifier: str) -> tuple[str, int, str]:
    return "NoSuchEntity", 404, f"The Access Key with id {identifier} cannot be found"


def test_a_key_signs_and_its_secret_is_told_once(iam: "IAMClient", user: str, server: LiveServer):
    made = iam.create_access_key(UserName=user)["AccessKey"]
    assert re.fullmatch("AKIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert re.fullmatch("[A-Za-z0-9/+]{40}", made["SecretAccessKey"])
    assert (made["UserName"], made["Status"]) == (user, "Active")
    (listed,) = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert listed == {name: made[name] for name in ("UserName", "AccessKeyId", "Status", "CreateDate")}  # type: ignore[literal-required]
    sts = server.client("sts", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"])
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{user}"


def test_a_secret_is_not_in_the_store_as_it_is(iam: "IAMClient", user: str, server: LiveServer):
    secret = iam.create_access_key(UserName=user)["AccessKey"]["SecretAccessKey"].encode()
    stored = server.all_rows()
    assert user.encode() in stored
    assert secret not in stored


def test_a_user_has_two_keys_at_the_most(iam: "IAMClient", user: str):
    first = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    iam.create_access_key(UserName=user)
    full = ("LimitExceeded", 409, "Cannot exceed quota for AccessKeysPerUser: 2")
    assert refusal(iam.create_access_key, UserName=user) == full
    iam.update_access_key(UserName=user, AccessKeyId=first, Status="Inactive")
    assert refusal(iam.create_access_key, UserName=user) == full
    iam.delete_access_key(UserName=user, AccessKeyId=first)
    iam.create_access_key(UserName=user)


def test_an_inactive_key_does_not_sign_and_an_active_one_does_again(
    iam: "IAMClient", user: str, acting: Callable[..., Any]
):
    sts = acting(user, "sts")
    (key,) = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    sts.get_caller_identity()
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert iam.list_access_keys(UserName=user)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    assert refusal(sts.get_caller_identity) == INVALID
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Active")
    sts.get_caller_identity()


def test_a_deleted_key_does_not_sign(iam: "IAMClient", user: str, acting: Callable[..., Any]):
    sts = acting(user, "sts")
    (key,) = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    sts.get_caller_identity()
    conflict = ("DeleteConflict", 409, "Cannot delete entity, must delete access keys first.")
    assert refusal(iam.delete_user, UserName=user) == conflict
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    assert refusal(sts.get_caller_identity) == INVALID
    iam.delete_user(UserName=user)


def test_a_key_is_its_owners_alone(iam: "IAMClient", user: str):
    iam.create_user(UserName=f"{user}-2")
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    for call, more in ((iam.delete_access_key, {}), (iam.update_access_key, {"Status": "Inactive"})):
        assert refusal(call, UserName=f"{user}-2", AccessKeyId=key, **more) == unknown(key)
        assert refusal(call, AccessKeyId=key, **more) == unknown(key)
        assert refusal(call, UserName=user, AccessKeyId="AKIAIOSFODNN7EXAMPLE", **more) == unknown(
            "AKIAIOSFODNN7EXAMPLE"
        )
    assert refusal(iam.get_access_key_last_used, AccessKeyId="AKIAIOSFODNN7EXAMPLE") == unknown("AKIAIOSFODNN7EXAMPLE")


def test_a_status_is_active_or_inactive(iam: "IAMClient", user: str):
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    code, status, _ = refusal(iam.update_access_key, UserName=user, AccessKeyId=key, Status="Expired")
    assert (code, status) == ("InvalidInput", 400)


def test_the_root_user_has_keys_of_its_own_beside_that_of_the_settings(iam: "IAMClient", server: LiveServer):
    own = server.access_key_id
    made = iam.create_access_key()["AccessKey"]
    assert "UserName" not in made
    keys = {one["AccessKeyId"]: one for one in iam.list_access_keys()["AccessKeyMetadata"]}
    assert keys.keys() == {own, made["AccessKeyId"]}
    sts = server.client("sts", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"])
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    for call, more in ((iam.delete_access_key, {}), (iam.update_access_key, {"Status": "Inactive"})):
        code, status, message = refusal(call, AccessKeyId=own, **more)
        assert (code, status) == ("UnmodifiableEntity", 400)
        assert own in message
    iam.delete_access_key(AccessKeyId=made["AccessKeyId"])
    assert refusal(sts.get_caller_identity) == INVALID
    assert iam.get_access_key_last_used(AccessKeyId=own)["AccessKeyLastUsed"]["ServiceName"] == "N/A"


def test_the_last_use_of_a_key_outlives_the_server(tmp_path: Path):
    with LiveServer(tmp_path, settings={"storage.reserve": "0"}) as server:
        iam = server.client("iam")
        iam.create_user(UserName="ci")
        key = iam.create_access_key(UserName="ci")["AccessKey"]
        never = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
        assert never["UserName"] == "ci"
        assert never["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
        server.client(
            "sts",
            region="eu-west-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        ).get_caller_identity()
        server.restart()
        used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
        assert (used["ServiceName"], used["Region"]) == ("sts", "eu-west-1")
        assert datetime.now(UTC) - used["LastUsedDate"] < timedelta(minutes=1)
