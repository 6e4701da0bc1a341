"""The table of STS's operations."""

from auth.sts.operations import OPERATIONS
from aws.model import Models


def test_every_operation_is_one_of_the_model_and_signed_as_it_says() -> None:
    model = Models().service("sts")
    assert {row.name for row in OPERATIONS} <= model.operations
    assert {row.name: row.signed for row in OPERATIONS} == {
        row.name: model.operation(row.name).signed for row in OPERATIONS
    }
