"""The routes of /v2/, as a table: method, pattern, handler, and the leave it needs.

A row names its IAM actions on the repository in the path (or, with `resource`, on another), and the action of a Bearer
token's scope. A row without them cannot be made; a row that every known caller may use says so by ANYONE_KNOWN.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from auth.access import Access
from base.web import Reply
from registry.names import RegistryId
from registry.oci import blobs, listings, manifests, uploads
from registry.oci.call import Call, Registry

Handler: TypeAlias = Callable[[Registry, Call], Awaitable[Reply]]

ANYONE_KNOWN = ("authenticated",)
"""Actions of a row that asks for nothing but credentials."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    actions: tuple[str, ...]
    scope: str
    """What a Bearer token has to cover: pull, push or delete of the repository, or a whole scope such as registry:catalog:*."""
    resource: str = "{name}"
    template: str = field(init=False)
    """The path as people write it, `/v2/<name>/tags/list`: for logs, metrics and traces."""

    def __post_init__(self) -> None:
        if not self.actions or not self.scope:
            raise ValueError(f"the route {self.method} {self.pattern.pattern} needs its IAM actions and its scope")
        text = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", self.pattern.pattern).removesuffix(r"\Z").removesuffix("?")
        object.__setattr__(self, "template", text)

    @property
    def changes(self) -> bool:
        """Whether it is for changing something."""
        return self.method not in {"GET", "HEAD"}

    def accesses(self, call: Call) -> tuple[Access, ...]:
        """What the gate is asked."""
        if self.actions is ANYONE_KNOWN:
            return ()
        return _accesses(self.actions, call.registry, self.resource if self.resource != "{name}" else call.name)

    def scopes(self, name: str) -> tuple[str, str]:
        """(scope, action) that a Bearer token has to cover; both empty where any token does."""
        if self.actions is ANYONE_KNOWN:
            return "", ""
        if ":" in self.scope:
            scope, _, action = self.scope.rpartition(":")
            return scope, action
        return f"repository:{name}", self.scope


@lru_cache(maxsize=4096)
def _accesses(actions: tuple[str, ...], registry: RegistryId, name: str) -> tuple[Access, ...]:
    arn = registry.arn(name)
    return tuple(Access(action, arn) for action in actions)


def _path(text: str) -> re.Pattern[str]:
    """`<x>` is one segment, `<name>` any number of them: the name's own grammar is checked when it is read."""
    text = re.sub(r"<(\w+)>", lambda match: f"(?P<{match[1]}>{'.+' if match[1] == 'name' else '[^/]+'})", text)
    return re.compile(text + r"\Z", re.DOTALL)


_PING = _path("/v2/?")
_CATALOG = _path("/v2/_catalog")
_MANIFEST = _path("/v2/<name>/manifests/<reference>")
_BLOB = _path("/v2/<name>/blobs/<digest>")
_UPLOADS = _path("/v2/<name>/blobs/uploads/?")
_UPLOAD = _path("/v2/<name>/blobs/uploads/<upload>")
_TAGS = _path("/v2/<name>/tags/list")
_REFERRERS = _path("/v2/<name>/referrers/<digest>")


async def ping(registry: Registry, call: Call) -> Reply:  # noqa: ARG001 - every handler is called alike
    return Reply(200, [("Content-Type", "application/json")], b"{}")


_READ_IMAGE = ("ecr:BatchGetImage",)
_READ_LAYER = ("ecr:GetDownloadUrlForLayer",)
_CHECK_LAYER = ("ecr:BatchCheckLayerAvailability",)
_BEGIN = ("ecr:InitiateLayerUpload",)
_APPEND = ("ecr:UploadLayerPart",)
_FINISH = ("ecr:UploadLayerPart", "ecr:CompleteLayerUpload")
_DELETE = ("ecr:BatchDeleteImage",)

ROUTES: tuple[Route, ...] = (
    Route("GET", _MANIFEST, manifests.get_manifest, _READ_IMAGE, "pull"),
    Route("HEAD", _MANIFEST, manifests.head_manifest, _READ_IMAGE, "pull"),
    Route("PUT", _MANIFEST, manifests.put_manifest, ("ecr:PutImage",), "push"),
    Route("DELETE", _MANIFEST, manifests.delete_manifest, _DELETE, "delete"),
    Route("POST", _UPLOADS, uploads.begin_upload, _BEGIN, "push"),
    Route("GET", _UPLOAD, uploads.upload_status, _APPEND, "push"),
    Route("PATCH", _UPLOAD, uploads.append_upload, _APPEND, "push"),
    Route("PUT", _UPLOAD, uploads.finish_upload, _FINISH, "push"),
    Route("DELETE", _UPLOAD, uploads.cancel_upload, _APPEND, "push"),
    Route("GET", _BLOB, blobs.get_blob, _READ_LAYER, "pull"),
    Route("HEAD", _BLOB, blobs.head_blob, _CHECK_LAYER, "pull"),
    Route("DELETE", _BLOB, blobs.delete_blob, _DELETE, "delete"),
    Route("GET", _TAGS, listings.list_tags, ("ecr:ListImages",), "pull"),
    Route("GET", _REFERRERS, listings.list_referrers, _READ_IMAGE, "pull"),
    Route("GET", _PING, ping, ANYONE_KNOWN, "any"),
    Route("HEAD", _PING, ping, ANYONE_KNOWN, "any"),
    Route(
        "GET", _CATALOG, listings.list_repositories, ("ecr:DescribeRepositories",), "registry:catalog:*", resource="*"
    ),
)


class MethodUnknown(Exception):
    """The path is one of ours, the method is not; `allowed` are."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"the method is not allowed here: use {', '.join(allowed)}")
        self.allowed = allowed


class Router:
    """Finds the row of a request."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        by_pattern: dict[re.Pattern[str], dict[str, Route]] = {}
        for route in routes:
            by_pattern.setdefault(route.pattern, {})[route.method] = route
        self._table = tuple((pattern.match, methods) for pattern, methods in by_pattern.items())

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """(row, groups of the path), or None. Raises MethodUnknown."""
        for match, methods in self._table:
            found = match(path)
            if found is None:
                continue
            route = methods.get(method)
            if route is None:
                raise MethodUnknown(tuple(methods))
            return route, found.groupdict()
        return None
