"""Botocore's models, loaded once."""

import pytest

from aws.model import Models


@pytest.fixture(scope="session")
def models() -> Models:
    return Models()
