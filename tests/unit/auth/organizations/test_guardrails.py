"""What the gate is told of an account's organization, over real rows."""

import pytest

from auth.accounts import Accounts
from auth.directory import Guardrail
from auth.epoch import Epoch
from auth.organizations.call import FULL_ACCESS
from auth.organizations.guardrails import FULL_ACCESS_CONTENT, OrganizationGuardrails
from auth.policy.document import Kind, PolicyMalformed, parse_policy
from auth.rows import organizations as rows
from auth.rows.organizations import ControlPolicy, Organization, OrganizationalUnit
from auth.secrets import Vault
from store.database import Database, Unit
from tests.rooms import Time

MANAGEMENT, MEMBER, STRANGER = "111111111111", "222222222222", "333333333333"
OWN = Organization("o-aaaaaaaaaa", MANAGEMENT, "r-aaaa", "ALL", controls=True, created_at=0.0)
POLICY = ControlPolicy("p-aaaaaaaa", OWN.id, "no pushes", "", "some text", 0.0)
UNITS = ("ou-aaaa-00000001", "ou-aaaa-00000002")
FULL = (
    "FullAWSAccess",
    "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess",
    FULL_ACCESS_CONTENT,
)
NO_PUSHES = (
    "no pushes",
    "arn:aws:organizations::111111111111:policy/o-aaaaaaaaaa/service_control_policy/p-aaaaaaaa",
    "some text",
)


@pytest.fixture
async def guardrails(database: Database, epoch: Epoch, vault: Vault, clock: Time) -> OrganizationGuardrails:
    """An organization with the management account in its root and a member two units below it."""
    for account in (MANAGEMENT, MEMBER, STRANGER):
        await Accounts(database, epoch, vault, clock).create("a", identifier=account)

    def unit() -> Unit[None]:
        yield from rows.insert_organization(OWN)
        yield from rows.insert_policy(POLICY)
        parent = OWN.root_id
        for identifier in UNITS:
            yield from rows.insert_unit(OrganizationalUnit(identifier, OWN.id, parent, "a", 0.0))
            parent = identifier
        yield from rows.insert_member(MANAGEMENT, OWN.id, OWN.root_id, "INVITED", 0.0)
        yield from rows.insert_member(MEMBER, OWN.id, parent, "CREATED", 0.0)
        for target in (OWN.root_id, *UNITS, MANAGEMENT, MEMBER):
            yield from rows.attach(OWN.id, target, FULL_ACCESS, 0.0)

    await database.write(unit)
    return OrganizationGuardrails(database)


async def test_an_account_outside_has_none(guardrails: OrganizationGuardrails):
    assert await guardrails.of(STRANGER) == await guardrails.of("999999999999") == Guardrail()


async def test_levels_go_from_the_root_over_the_units_to_the_account(
    guardrails: OrganizationGuardrails, database: Database
):
    await database.write(lambda: rows.attach(OWN.id, UNITS[1], POLICY.id, 0.0))
    found = await guardrails.of(MEMBER)
    assert found.organization == OWN.id
    assert found.path == f"{OWN.id}/{OWN.root_id}/{UNITS[0]}/{UNITS[1]}/"
    assert [set(level) for level in found.levels] == [{FULL}, {FULL}, {FULL, NO_PUSHES}, {FULL}]


async def test_a_level_without_policies_stays_a_level(guardrails: OrganizationGuardrails, database: Database):
    """An empty one allows nothing; a missing one would allow everything."""
    await database.write(lambda: rows.detach(OWN.id, UNITS[0], FULL_ACCESS))
    assert (await guardrails.of(MEMBER)).levels == ((FULL,), (), (FULL,), (FULL,))


async def test_a_policy_that_is_attached_and_not_there_is_not_taken_for_awss(
    guardrails: OrganizationGuardrails, database: Database
):
    await database.write(lambda: rows.attach(OWN.id, UNITS[0], "p-gone1234", 0.0))
    levels = (await guardrails.of(MEMBER)).levels
    (gone,) = (text for level in levels for _, arn, text in level if arn.endswith("/p-gone1234"))
    with pytest.raises(PolicyMalformed):  # which denies everything
        parse_policy(gone, Kind.CONTROL)


async def test_the_management_account_knows_its_place_and_is_not_limited(
    guardrails: OrganizationGuardrails, database: Database
):
    await database.write(lambda: rows.attach(OWN.id, MANAGEMENT, POLICY.id, 0.0))
    assert await guardrails.of(MANAGEMENT) == Guardrail(OWN.id, f"{OWN.id}/{OWN.root_id}/")


async def test_nothing_limits_where_the_type_is_not_enabled(guardrails: OrganizationGuardrails, database: Database):
    await database.write(lambda: rows.set_controls(OWN.id, enabled=False))
    found = await guardrails.of(MEMBER)
    assert (found.organization, found.levels) == (OWN.id, ())


async def test_what_is_attached_in_another_organization_does_not_count(
    guardrails: OrganizationGuardrails, database: Database
):
    """Roots of two organizations may have the same id."""
    await database.write(lambda: rows.attach("o-bbbbbbbbbb", OWN.root_id, POLICY.id, 0.0))
    assert (await guardrails.of(MEMBER)).levels[0] == (FULL,)


async def test_who_left_is_outside_and_comes_back_without_what_was_attached(
    guardrails: OrganizationGuardrails, database: Database
):
    await database.write(lambda: rows.attach(OWN.id, MEMBER, POLICY.id, 0.0))
    await database.write(lambda: rows.delete_member(OWN.id, MEMBER))
    assert await guardrails.of(MEMBER) == Guardrail()
    await database.write(lambda: rows.insert_member(MEMBER, OWN.id, OWN.root_id, "INVITED", 0.0))
    assert (await guardrails.of(MEMBER)).levels == ((FULL,), ())


def test_full_access_is_a_service_control_policy():
    (statement,) = parse_policy(FULL_ACCESS_CONTENT, Kind.CONTROL).statements
    assert statement.effect == "Allow"
