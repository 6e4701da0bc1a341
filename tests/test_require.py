"""The rule by which a missing part is a skip or a failure."""

import pytest

from tests import require


def test_a_missing_part_skips_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LONGSHORE_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="clients: crane is not here"):
        require.need("clients", None, "crane")


def test_a_missing_part_of_a_required_capability_fails_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_REQUIRE", "docker, clients")
    with pytest.raises(pytest.fail.Exception, match="clients: crane is not here"):
        require.need("clients", None, "crane")


def test_a_missing_part_of_another_capability_still_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_REQUIRE", "docker")
    with pytest.raises(pytest.skip.Exception, match="clients: crane"):
        require.need("clients", None, "crane")


def test_a_part_that_is_there_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_REQUIRE", "clients")
    assert require.need("clients", "found", "crane") == "found"


def test_a_misspelt_capability_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_REQUIRE", "dockre")
    with pytest.raises(pytest.UsageError, match="not dockre"):
        require.required()
