"""What one worker changes, the others know within a second. Each request comes over a connection of its own, and
connections go to the workers in turn."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.live import LiveServer
from tests.wire.client import Client, basic

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient

WORKERS = 2
PULL = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
CHANGES: dict[str, tuple[Callable[["IAMClient", str], object], int]] = {
    "untouched": (lambda _, __: None, 200),
    "policy-detached": (lambda iam, _: iam.detach_user_policy(UserName="policy-detached", PolicyArn=PULL), 403),
    "key-inactive": (
        lambda iam, key: iam.update_access_key(UserName="key-inactive", AccessKeyId=key, Status="Inactive"),
        401,
    ),
    "key-deleted": (lambda iam, key: iam.delete_access_key(UserName="key-deleted", AccessKeyId=key), 401),
}
"""What happens to a user, who is called after it, and how the registry answers then."""


def test_a_change_counts_at_every_worker_within_a_second(tmp_path: Path):
    with LiveServer(tmp_path, settings={"storage.reserve": "0"}, workers=WORKERS) as server, ExitStack() as stack:
        server.client("ecr").create_repository(repositoryName="team/app")
        iam = server.client("iam")
        keys, clients = {}, {}
        for user in CHANGES:
            iam.create_user(UserName=user)
            iam.attach_user_policy(UserName=user, PolicyArn=PULL)
            key = iam.create_access_key(UserName=user)["AccessKey"]
            keys[user] = key["AccessKeyId"]
            credentials = basic(key["AccessKeyId"], key["SecretAccessKey"])
            clients[user] = stack.enter_context(Client(server, fresh=True, authorization=credentials))

        def ask() -> dict[str, set[int]]:
            """The answers that each user gets at all workers."""
            return {
                user: {client("GET", "/v2/team/app/tags/list").status for _ in range(2 * WORKERS)}
                for user, client in clients.items()
            }

        def pass_a_second() -> None:
            """Asking, so that every worker has something to remember."""
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                ask()

        pass_a_second()
        assert ask() == {user: {200} for user in CHANGES}
        for user, (change, _) in CHANGES.items():
            change(iam, keys[user])
        pass_a_second()
        assert ask() == {user: {status} for user, (_, status) in CHANGES.items()}
