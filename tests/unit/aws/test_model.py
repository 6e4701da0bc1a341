import pytest

from aws.model import Kind, Models


def test_services_have_their_wire_facts(models: Models):
    ecr, sts, balancing = models.service("ecr"), models.service("sts"), models.service("elbv2")
    assert (ecr.protocol, ecr.json_version, ecr.target_prefix, ecr.signing_name) == (
        "json",
        "1.1",
        "AmazonEC2ContainerRegistry_V20150921",
        "ecr",
    )
    assert (sts.protocol, sts.version, sts.namespace) == (
        "query",
        "2011-06-15",
        "https://sts.amazonaws.com/doc/2011-06-15/",
    )
    assert balancing.signing_name == "elasticloadbalancing"


def test_a_service_is_loaded_once(models: Models):
    assert models.service("ecr") is models.service("ecr")


def test_unknown_names_are_refused(models: Models):
    with pytest.raises(KeyError, match="no service 'nothing'"):
        models.service("nothing")
    with pytest.raises(KeyError, match="no operation 'Nothing'"):
        models.service("ecr").operation("Nothing")


def test_only_what_the_model_says_is_unsigned(models: Models):
    sts = models.service("sts")
    unsigned = {name for name in sts.operations if not sts.operation(name).signed}
    assert unsigned == {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}


def test_constraints_are_compiled(models: Models):
    shape = models.service("ecr").operation("CreateRepository").input
    assert shape is not None
    name = shape.members["repositoryName"]
    assert (name.kind, name.minimum, name.maximum) == (Kind.STRING, 2, 256)
    assert name.pattern is not None
    assert name.pattern.matches("team/app")
    assert shape.required == ("repositoryName",)


def test_recursive_shapes_are_compiled(models: Models):
    logs = models.service("logs")
    assert all(logs.operation(name) for name in logs.operations)


def test_errors_are_found_by_shape_and_by_query_code(models: Models):
    iam, ecr = models.service("iam"), models.service("ecr")
    missing = iam.error("NoSuchEntity")
    assert missing is not None
    assert (missing.status, missing.query_code, missing.fault) == (404, "NoSuchEntity", False)
    assert iam.error("NoSuchEntityException") is missing
    server = ecr.error("ServerException")
    assert server is not None
    assert (server.status, server.fault) == (500, True)
    assert ecr.error("Nothing") is None
