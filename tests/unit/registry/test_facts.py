"""What the gate is told of repositories and registries, and from when on."""

from dataclasses import replace

import pytest

from auth.access import Access
from auth.authorize import Facts
from auth.epoch import LOOK_AGAIN
from registry import rows
from registry.names import RegistryId, parse_name
from registry.repositories import NewRepository
from registry.rows import Repository
from tests.rooms import HOME, House, Time

AWAY = RegistryId("210987654321", "eu-west-1")
TEXT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}'
OTHER = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Resource":"*"}]}'
TAGS = (("team", "blue"),)


async def facts(house: House, name: str, action: str = "ecr:PutImage", registry: RegistryId = HOME) -> Facts:
    """Of a repository's name, or of `*`."""
    resource = name if name == "*" else registry.arn(name)
    return await house.facts.facts(Access(action, resource), account=HOME.account, region=HOME.region)


def texts(found: Facts) -> tuple[str, str]:
    """(repository policy, registry policy)."""
    one, other = (
        "".join(policy.text for policy in kind.policies) if kind is not None else ""
        for kind in (found.repository, found.registry)
    )
    return one, other


async def put_policy(house: House, repository: Repository, text: str = TEXT) -> None:
    await house.epoch.change(lambda: rows.put_repository_policy(repository, text))


async def put_registry_policy(house: House, registry: RegistryId, text: str = OTHER) -> None:
    await house.epoch.change(lambda: rows.put_registry_policy(registry, text))


async def test_a_repository_that_is_bare_is_told_from_one_that_is_missing_by_nothing(
    house: House, repository: Repository
):
    bare = Facts(owner=HOME.account)
    assert await facts(house, repository.name) == await facts(house, "not/there") == bare


async def test_a_repository_has_its_tags_and_policies(house: House, repository: Repository):
    await house.repositories.tag(repository, TAGS)
    await put_policy(house, repository)
    await put_registry_policy(house, HOME)
    found = await facts(house, repository.name)
    assert (found.owner, found.tags, texts(found)) == (HOME.account, TAGS, (TEXT, OTHER))
    found = await facts(house, "not/there")
    assert (found.owner, found.tags, texts(found)) == (HOME.account, (), ("", OTHER))


@pytest.mark.parametrize("pattern", ["*", "some/*", "so?e/repository", "Some/Repository", "", "a:b"])
async def test_a_pattern_is_no_repository(house: House, repository: Repository, pattern: str):
    await house.repositories.tag(repository, TAGS)
    await put_policy(house, repository)
    await put_registry_policy(house, HOME)
    found = await facts(house, pattern)
    assert (found.owner, found.tags, texts(found)) == (HOME.account, (), ("", OTHER))


async def test_what_is_not_a_repositorys_is_the_callers_own_registrys(house: House):
    await put_registry_policy(house, HOME)
    await put_registry_policy(house, replace(HOME, region=AWAY.region), TEXT)
    await put_registry_policy(house, AWAY, TEXT)
    found = await facts(house, "*", "ecr:GetAuthorizationToken")
    assert (found.owner, texts(found)) == (HOME.account, ("", OTHER))


async def test_accounts_and_regions_are_apart(house: House, repository: Repository):
    await put_policy(house, repository)
    await put_registry_policy(house, HOME)
    for registry in (AWAY, replace(HOME, region=AWAY.region), replace(HOME, account=AWAY.account)):
        assert await facts(house, repository.name, registry=registry) == Facts(owner=registry.account)


async def test_in_the_first_scope_the_registrys_policy_counts_for_three_actions(house: House, repository: Repository):
    await put_registry_policy(house, HOME)
    await house.policies.put_setting(HOME, "REGISTRY_POLICY_SCOPE", "V1")
    for action in ("ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"):
        assert texts(await facts(house, repository.name, action)) == ("", OTHER)
    for action in ("ecr:PutImage", "ecr:DescribeRepositories"):
        assert texts(await facts(house, repository.name, action)) == ("", "")
    assert texts(await facts(house, "*", "ecr:DescribeRegistry")) == ("", "")
    await house.policies.put_setting(HOME, "REGISTRY_POLICY_SCOPE", "V2")
    assert texts(await facts(house, repository.name)) == ("", OTHER)


CHANGES = {
    "a tag is put": lambda house, repository: house.repositories.tag(repository, (("team", "red"),)),
    "a tag is taken away": lambda house, repository: house.repositories.untag(repository, ["team"]),
    "the policy is replaced": lambda house, repository: put_policy(house, repository, OTHER),
    "the policy is deleted": lambda house, repository: house.policies.delete_from_repository(repository),
    "the registry's policy is replaced": lambda house, repository: put_registry_policy(house, HOME, TEXT),
    "the registry's policy is deleted": lambda house, repository: house.policies.delete_from_registry(HOME),
    "the scope changes": lambda house, repository: house.policies.put_setting(HOME, "REGISTRY_POLICY_SCOPE", "V1"),
    "the repository goes": lambda house, repository: house.repositories.delete(repository, force=False),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_counts_at_once_here_and_within_a_second_elsewhere(
    change, house: House, other: House, repository: Repository, clock: Time
):
    await house.repositories.tag(repository, TAGS)
    await put_policy(house, repository)
    await put_registry_policy(house, HOME)
    clock.pass_(LOOK_AGAIN)
    before = [await facts(one, repository.name) for one in (house, other)]
    assert len({(found.tags, texts(found)) for found in before}) == 1
    await change(house, repository)
    after = await facts(house, repository.name)
    assert (after.tags, texts(after)) != (before[0].tags, texts(before[0]))
    clock.pass_(LOOK_AGAIN)
    found = await facts(other, repository.name)
    assert (found.tags, texts(found)) == (after.tags, texts(after))


async def test_a_repository_made_with_tags_and_a_policy_is_known_with_them(house: House):
    name = parse_name("made/whole")
    assert await facts(house, name) == Facts(owner=HOME.account)
    made = await house.repositories.create(HOME, name, NewRepository(tags=TAGS, policy=TEXT))
    found = await facts(house, name)
    assert (found.tags, texts(found)) == (TAGS, (TEXT, ""))
    await house.repositories.delete(made, force=False)
    await house.repositories.create(HOME, name, NewRepository())
    assert await facts(house, name) == Facts(owner=HOME.account)


async def test_settings_are_as_ecr_has_them_until_they_are_put(house: House):
    names = ("BASIC_SCAN_TYPE_VERSION", "REGISTRY_POLICY_SCOPE", "BLOB_MOUNTING")
    assert [await house.policies.setting(HOME, name) for name in names] == ["AWS_NATIVE", "V2", "ENABLED"]
    await house.policies.put_setting(HOME, "BLOB_MOUNTING", "DISABLED")
    assert await house.policies.setting(HOME, "BLOB_MOUNTING") == "DISABLED"
    assert await house.policies.setting(AWAY, "BLOB_MOUNTING") == "ENABLED"
