"""What a test needs of the machine, and whether its absence is a skip or a failure: decided here, nowhere else.

A test that needs a part skips by the name of what is missing. LONGSHORE_REQUIRE, a comma list of the capabilities
below, makes a missing part of those a failure.
"""

import os
from typing import NoReturn, TypeVar

import pytest

CAPABILITIES = {
    "docker": "a Docker Engine that this user may start (dockerd, as root)",
    "clients": "every real client that the acceptance tests name",
    "postgres": "a PostgreSQL server",
    "s3": "an S3 server",
    "conformance": "the OCI conformance suite",
    "faults": "a C compiler, and file systems that this user may mount",
}
INSTALL = "tests/parts/install installs it"
T = TypeVar("T")


def required() -> frozenset[str]:
    """The capabilities that LONGSHORE_REQUIRE names. Raises pytest.UsageError for a name that is none."""
    named = frozenset(filter(None, (name.strip() for name in os.environ.get("LONGSHORE_REQUIRE", "").split(","))))
    if unknown := named - CAPABILITIES.keys():
        raise pytest.UsageError(f"LONGSHORE_REQUIRE knows {', '.join(CAPABILITIES)}; not {', '.join(sorted(unknown))}")
    return named


def long_form() -> bool:
    """Whether tests marked `long` run."""
    return os.environ.get("LONGSHORE_LONG", "") not in ("", "0")


def missing(capability: str, what: str) -> NoReturn:
    """Ends the test (or fixture) that called: as skipped, or as failed where `capability` is required."""
    reason = f"{capability}: {what}"
    if capability not in CAPABILITIES:
        raise KeyError(capability)
    if capability in required():
        pytest.fail(f"{reason} (LONGSHORE_REQUIRE names {capability}; {INSTALL})", pytrace=False)
    pytest.skip(f"{reason} ({INSTALL})")


def need(capability: str, found: T | None, what: str) -> T:
    """`found`, unless it is None: then as `missing`."""
    if found is None:
        missing(capability, f"{what} is not here")
    return found
