"""The catalogue of AWS's managed policies."""

import json
import re

import pytest

from auth.iam.managed import CATALOGUE
from auth.policy.document import Kind, parse_policy

EXPECTED = (
    "AdministratorAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "SecurityAudit",
    "job-function/ViewOnlyAccess",
    "IAMFullAccess",
    "IAMReadOnlyAccess",
    "IAMUserChangePassword",
    "AmazonEC2ContainerRegistryFullAccess",
    "AmazonEC2ContainerRegistryPowerUser",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonElasticContainerRegistryPublicReadOnly",
    "AmazonECS_FullAccess",
    "service-role/AmazonECSTaskExecutionRolePolicy",
    "service-role/AmazonEC2ContainerServiceforEC2Role",
)


@pytest.mark.parametrize("name", EXPECTED)
def test_policies_for_registries_clusters_and_administration_exist_by_their_arns(name: str) -> None:
    assert f"arn:aws:iam::aws:policy/{name}" in CATALOGUE


def test_names_and_ids_are_unique() -> None:
    policies = list(CATALOGUE.values())
    assert len({policy.name.lower() for policy in policies}) == len(policies)
    assert len({policy.id for policy in policies}) == len(policies)


@pytest.mark.parametrize("policy", CATALOGUE.values(), ids=lambda policy: policy.name)
def test_every_policy_has_its_facts_and_its_document(policy) -> None:
    assert re.fullmatch(r"ANPA[A-Z0-9]{17}", policy.id)
    assert policy.version >= 1
    assert 0 < policy.created_at <= policy.updated_at
    assert json.loads(policy.document)["Version"] == "2012-10-17"


@pytest.mark.parametrize("policy", CATALOGUE.values(), ids=lambda policy: policy.name)
def test_every_document_can_be_evaluated(policy) -> None:
    assert parse_policy(policy.document, Kind.IDENTITY, managed=True).statements
