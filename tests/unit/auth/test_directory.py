"""What a process keeps of policies: as much as it may, whoever makes them up."""

import json

import pytest

from auth import directory as module
from auth.directory import Directory
from auth.epoch import Epoch
from auth.policy.document import Kind, Policy, Source
from store.sqlite import SqliteDatabase


def compiled(directory: Directory, text: str) -> Policy:
    return directory.compile(text, Kind.SESSION, "session", "", Source.NONE)


def text_of(number: int, statements: int = 40) -> str:
    deny = {"Effect": "Deny", "Action": f"ecr:Action{number}", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [deny] * statements})


def test_policies_that_somebody_makes_up_are_not_kept_without_end(
    database: SqliteDatabase, epoch: Epoch, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_COMPILED", 50_000)
    directory = Directory(database, epoch, managed={})
    policies = [compiled(directory, text_of(number)) for number in range(100)]
    for policy in policies:
        directory._set([policy])
    for kept in (directory._compiled, directory._sets):
        assert 5 < len(kept._things) < 25
    assert compiled(directory, text_of(99)) is policies[-1]
    assert compiled(directory, text_of(0)) is not policies[0]


def test_one_policy_is_kept_however_large(database: SqliteDatabase, epoch: Epoch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_COMPILED", 1000)
    directory = Directory(database, epoch, managed={})
    large = compiled(directory, text_of(1))
    assert compiled(directory, text_of(1)) is large
