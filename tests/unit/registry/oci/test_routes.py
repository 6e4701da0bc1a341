import contextlib
import dataclasses
import time

import pytest
from botocore.session import Session

from registry.oci.routes import ANYONE_KNOWN, ROUTES, MethodUnknown, Route, Router, ping

NAME = "team/app"
DIGEST = "sha256:" + "a" * 64


def patterns() -> dict[str, str]:
    """A path for each row."""
    return {
        r"/v2/?": "/v2/", r"/v2/_catalog": "/v2/_catalog", "manifests": f"/v2/{NAME}/manifests/latest",
        "blobs/uploads/?": f"/v2/{NAME}/blobs/uploads/", "uploads/(": f"/v2/{NAME}/blobs/uploads/some-id",
        "blobs/(": f"/v2/{NAME}/blobs/{DIGEST}", "tags": f"/v2/{NAME}/tags/list",
        "referrers": f"/v2/{NAME}/referrers/{DIGEST}",
    }  # fmt: skip


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.pattern.pattern}")
def test_a_row_without_actions_or_scope_does_not_construct(route: Route):
    for missing in ({"actions": ()}, {"scope": ""}):
        with pytest.raises(ValueError, match="needs its IAM actions and its scope"):
            dataclasses.replace(route, **missing)
    assert dataclasses.replace(route) == route


def test_actions_are_those_of_the_ecr_api():
    operations = set(Session().get_service_model("ecr").operation_names)
    for route in ROUTES:
        if route.actions is not ANYONE_KNOWN:
            assert {action.removeprefix("ecr:") for action in route.actions} <= operations, route


def test_every_row_is_found_by_its_method_and_path():
    router = Router()
    for route in ROUTES:
        paths = [path for part, path in patterns().items() if part in route.pattern.pattern]
        found = [router.find(route.method, path) for path in paths if route.pattern.match(path)]
        assert [row for row, _ in found if row is route], route  # type: ignore[misc]


def test_only_the_ping_asks_for_nothing_but_credentials():
    assert {route.handler for route in ROUTES if route.actions is ANYONE_KNOWN} == {ping}


def test_a_method_and_a_path_have_one_row():
    assert len({(route.method, route.pattern.pattern) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(("path", "groups"), [
    ("/v2/a/manifests/latest", {"name": "a", "reference": "latest"}),
    ("/v2/a/b/c/manifests/" + DIGEST, {"name": "a/b/c", "reference": DIGEST}),
    ("/v2/manifests/manifests/manifests", {"name": "manifests", "reference": "manifests"}),
    ("/v2/a/manifests/b/manifests/c", {"name": "a/manifests/b", "reference": "c"}),
    ("/v2/a/blobs/uploads/manifests/x", {"name": "a/blobs/uploads", "reference": "x"}),
    ("/v2/a/b/blobs/" + DIGEST, {"name": "a/b", "digest": DIGEST}),
    ("/v2/a/blobs/uploads/id", {"name": "a", "upload": "id"}),
    ("/v2/a/tags/list", {"name": "a"}),
    ("/v2/tags/list/tags/list", {"name": "tags/list"}),
    ("/v2/a/referrers/x", {"name": "a", "digest": "x"}),
    ("/v2/", {}), ("/v2", {}), ("/v2/_catalog", {}),
    ("/v2/../x/tags/list", {"name": "../x"}), ("/v2/%2e%2e/tags/list", {"name": "%2e%2e"}),
    ("/v2/a\n/tags/list", {"name": "a\n"}),
])  # fmt: skip
def test_a_path_gives_its_parts_as_they_are(path: str, groups: dict[str, str]):
    found = Router().find("GET", path)
    assert found is not None
    assert found[1] == groups


@pytest.mark.parametrize("path", [
    "/", "/v1/", "/v2/a", "/v2/a/", "/v2/a/tags", "/v2/a/tags/list/", "/v2//manifests/x", "/v2/a/manifests/", "/v2/a/manifests/x/",
    "/v2/a/blobs/", "/v2/_catalog/", "/v3/a/tags/list", "v2/", "/V2/", "/v2/tags/list",
])  # fmt: skip
def test_any_other_path_is_nothing(path: str):
    assert Router().find("GET", path) is None


def test_another_method_is_told_which_are_allowed():
    with pytest.raises(MethodUnknown) as refused:
        Router().find("PATCH", "/v2/a/manifests/x")
    assert set(refused.value.allowed) == {"GET", "HEAD", "PUT", "DELETE"}
    with pytest.raises(MethodUnknown):
        Router().find("get", "/v2/")


@pytest.mark.parametrize(
    "path",
    ["/v2/" + "manifests/" * 1600, "/v2/" + "a/blobs/uploads" * 1000, "/v2/" + "/" * 16000, "/v2/" + "\n" * 16000],
)
def test_a_hostile_path_is_read_quickly(path: str):
    started = time.perf_counter()
    for _ in range(10):
        with contextlib.suppress(MethodUnknown):
            Router().find("GET", path)
    assert time.perf_counter() - started < 1.0
