"""The table of errors is whole, and says nothing that clients do not know."""

import importlib
import pkgutil

import pytest
from botocore.session import Session

import registry
from registry.errors import TABLE, RegistryError, Row

# OCI Distribution, "Error Codes", and what docker's registry adds
CODES = {
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED",
    "TOOMANYREQUESTS", "UNAVAILABLE", "UNKNOWN", "TAG_INVALID",
}  # fmt: skip
# what a code's status may be
STATUSES = {
    "BLOB_UNKNOWN": {404}, "BLOB_UPLOAD_INVALID": {400, 409, 416}, "BLOB_UPLOAD_UNKNOWN": {404}, "DIGEST_INVALID": {400},
    "MANIFEST_BLOB_UNKNOWN": {404}, "MANIFEST_INVALID": {400}, "MANIFEST_UNKNOWN": {404}, "NAME_INVALID": {400},
    "NAME_UNKNOWN": {404}, "SIZE_INVALID": {400, 413, 416, 507}, "DENIED": {400, 403, 409}, "UNSUPPORTED": {400, 404, 405, 409},
    "UNAVAILABLE": {503}, "UNKNOWN": {500, 503}, "TAG_INVALID": {400, 409},
}  # fmt: skip


def errors() -> set[type[RegistryError]]:
    for module in pkgutil.walk_packages(registry.__path__, "registry."):
        importlib.import_module(module.name)
    found: set[type[RegistryError]] = set()
    waiting = [RegistryError]
    while waiting:
        below = waiting.pop().__subclasses__()
        found.update(below)
        waiting += below
    return found


def test_every_error_of_the_room_has_its_row_and_every_row_its_error():
    assert errors() == set(TABLE)


@pytest.mark.parametrize("error", sorted(TABLE, key=lambda one: one.__name__))
def test_a_row_says_what_both_dialects_know(error: type[RegistryError]):
    row = TABLE[error]
    assert row.code in CODES
    assert row.status in STATUSES[row.code]
    shapes = {shape.name for shape in Session().get_service_model("ecr").error_shapes}
    assert row.exception in shapes
    assert row.exception_status == (500 if row.exception == "ServerException" else 400)
    assert (row.status >= 500) == (row.exception == "ServerException")


def test_what_is_not_found_on_one_side_is_not_found_on_the_other():
    for error, row in TABLE.items():
        if row.exception.endswith("NotFoundException"):
            assert row.status == 404, error.__name__


def test_errors_are_told_apart():
    """Two errors with the same row in both dialects say the same: then their names differ for the code's sake alone."""
    same: dict[Row, list[str]] = {}
    for error, row in TABLE.items():
        same.setdefault(row, []).append(error.__name__)
    assert sorted(sorted(names) for names in same.values() if len(names) > 1) == sorted(
        [
            ["BlobReferenced", "ManifestReferenced", "Unsupported"],
            ["BlobUnknown", "LayerNotFound"],
            ["ImageNotFound", "ManifestUnknown"],
            ["ManifestInvalid", "MediaTypeMissing"],
            ["ReadOnly", "Unavailable"],
        ]
    )
