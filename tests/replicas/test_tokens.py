"""What one replica signed or sealed is good at all of them."""

import base64
import json
from typing import Any

from tests.replicas.conftest import Fleet
from tests.wire.client import Client, basic

NAME = "replicas/tokens"


def password_of(fleet: Fleet, number: int) -> str:
    """A new token of GetAuthorizationToken, as an Authorization field."""
    found = fleet.servers[number].client("ecr").get_authorization_token()["authorizationData"][0]
    return f"Basic {found['authorizationToken']}"


def is_good_everywhere(fleet: Fleet, authorization: str) -> bool:
    found = set()
    for server in fleet.servers:
        with Client(server, authorization=authorization) as client:
            found.add(client("GET", f"/v2/{NAME}/tags/list").status)
    return found == {200}


def test_passwords_and_bearer_tokens(fleet: Fleet) -> None:
    fleet[0].push_image(NAME, "latest")
    for number, client in enumerate(fleet):
        assert is_good_everywhere(fleet, password_of(fleet, number))
        token = client("GET", f"/token?scope=repository:{NAME}:pull").json["token"]
        assert is_good_everywhere(fleet, f"Bearer {token}")


def test_they_stay_good_when_one_replica_begins_to_sign_with_a_new_key(fleet: Fleet) -> None:
    fleet[0].push_image(NAME, "latest")
    before = [password_of(fleet, number) for number in range(3)]
    done = fleet.servers[1].longshore("rotate-keys")
    assert done.returncode == 0, done.stderr
    with fleet.servers[0].rows() as rows:
        (count,) = rows.execute("SELECT COUNT(*) FROM signing_keys").fetchone()
    assert count >= 2
    fleet.servers[2].restart()  # it signs with the new key from now on, which the others have not read
    with fleet.servers[0].rows() as rows:
        ((current,),) = rows.execute("SELECT id FROM signing_keys WHERE retired_at IS NULL").fetchall()
    new = password_of(fleet, 2)
    assert current in key_id_of(new)
    assert is_good_everywhere(fleet, new)
    assert all(is_good_everywhere(fleet, one) for one in before)


def key_id_of(authorization: str) -> str:
    """The readable head of the token in a password."""
    password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[2]
    head = password.partition(".")[0]
    return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode()


def test_links_to_layers(fleet: Fleet) -> None:
    digest = fleet[0].push_blob(NAME, b"a layer behind a link")
    ask = {"repositoryName": NAME, "layerDigest": digest}
    fleet[0].push_image(NAME, "latest", layers=[b"a layer behind a link"])
    path = fleet.servers[0].client("ecr").get_download_url_for_layer(**ask)["downloadUrl"].partition("/_blobs/")
    for server in fleet.servers:
        with Client(server, authorization="") as nobody:
            assert nobody("GET", "/_blobs/" + path[2]).body == b"a layer behind a link"


def test_sessions_of_roles(fleet: Fleet) -> None:
    iam = fleet.servers[0].client("iam")
    account = fleet.servers[0].client("sts").get_caller_identity()["Account"]
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"},
    ]}  # fmt: skip
    role = iam.create_role(RoleName="wanderer", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    person = iam.create_user(UserName="walker")["User"]
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}]}
    iam.put_user_policy(UserName="walker", PolicyName="may", PolicyDocument=json.dumps(may))
    key = iam.create_access_key(UserName="walker")["AccessKey"]
    assert person["UserName"] == "walker"
    sts = fleet.servers[0].client(
        "sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    given = sts.assume_role(RoleArn=role, RoleSessionName="trip")["Credentials"]
    session: dict[str, Any] = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    for server in fleet.servers:
        arn = server.client("sts", **session).get_caller_identity()["Arn"]
        assert arn == f"arn:aws:sts::{account}:assumed-role/wanderer/trip"


def test_a_key_made_at_one_signs_at_all_at_once(fleet: Fleet) -> None:
    for number in range(3):
        iam = fleet.servers[number].client("iam")
        iam.create_user(UserName=f"new-{number}")
        key = iam.create_access_key(UserName=f"new-{number}")["AccessKey"]
        for server in fleet.servers:
            with Client(server, authorization=basic(key["AccessKeyId"], key["SecretAccessKey"])) as client:
                assert client("GET", "/v2/").status == 200
