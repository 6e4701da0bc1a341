"""A project whose tests fail, each with words that say why."""

from pytest_longshore import PULL

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:ListImages", "Resource": "*"}]}


def test_should_be_allowed(longshore):
    longshore.user(policy=POLICY).allowed(PULL, "some/images")


def test_should_be_denied(longshore):
    longshore.user(policy=POLICY).denied("ecr:ListImages", "some/images")


def test_another_reason(longshore):
    longshore.user(policy=POLICY).denied("ecr:PutImage", "some/images", because="an explicit deny")


def test_simulated(longshore):
    longshore.user(policy=POLICY).denied("ecr:ListImages", "some/images", context={"aws:SourceIp": "192.0.2.1"})


def test_not_refused(longshore):
    user = longshore.user(policy=POLICY)
    with user.refused("ecr:ListImages"):
        user.client("sts").get_caller_identity()


def test_a_pattern(longshore):
    longshore.user(policy=POLICY).allowed("ecr:ListImages", "some/*")
