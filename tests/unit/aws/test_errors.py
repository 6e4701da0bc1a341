import pytest

from aws.errors import AwsError, Common


@pytest.mark.parametrize("row", Common)
def test_every_common_error_has_its_words(row: Common):
    error = row.error()
    assert (error.code, error.status, error.message) == (row.value.code, row.value.status, row.value.message)
    assert (error.query_code, error.query_status) == (row.value.query_code, row.value.query_status)
    assert row.error("other").message == "other"


def test_query_follows_json_unless_told():
    error = AwsError("LimitExceededException", "too many", status=409, fields={"limit": 3})
    assert (error.query_code, error.query_status, error.fields) == ("LimitExceededException", 409, {"limit": 3})
    assert str(error) == "LimitExceededException: too many"
