"""Organizations: their members, units, service control policies, tags and requests for accounts.

Every unit that changes something of an organization begins with `take_turn`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Database, Row, Unit, placeholders


@dataclass(frozen=True, slots=True)
class Organization:
    """`management` is an account; `features` ALL or CONSOLIDATED_BILLING; `controls` whether service control policies
    are enabled in its root."""

    id: str
    management: str
    root_id: str
    features: str
    controls: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class Member:
    """An account of an organization. `parent_id` is the root's or a unit's; `joined_method` CREATED or INVITED."""

    account: str
    organization: str
    parent_id: str
    joined_method: str
    joined_at: float
    name: str
    email: str
    status: str


@dataclass(frozen=True, slots=True)
class OrganizationalUnit:
    id: str
    organization: str
    parent_id: str
    name: str
    created_at: float


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """A service control policy that is not AWS's."""

    id: str
    organization: str
    name: str
    description: str
    content: str
    created_at: float


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """`state` is SUCCEEDED or FAILED; `account` and `failure` (a reason of the API's) are empty where there is none."""

    id: str
    organization: str
    name: str
    state: str
    account: str
    failure: str
    requested_at: float


@dataclass(frozen=True, slots=True)
class Level:
    """A root, unit or account, and its policies: (id, name, content), the last two None for AWS's own."""

    node: str
    policies: tuple[tuple[str, str | None, str | None], ...]


_ORGANIZATION = "o.id, o.management, o.root_id, o.features, o.controls, o.created_at"
_MEMBER = "m.account, m.organization, m.parent_id, m.joined_method, m.joined_at, a.name, a.email, a.status"
_MEMBERS = f"SELECT {_MEMBER} FROM organization_members m JOIN accounts a ON a.id = m.account"
_UNIT = "id, organization, parent_id, name, created_at"
_POLICY = "id, organization, name, description, content, created_at"
_REQUEST = "id, organization, name, state, account, failure, requested_at"


def _organization(row: Row) -> Organization:
    identifier, management, root_id, features, controls, created_at = row
    return Organization(identifier, management, root_id, features, bool(controls), created_at)


# -- the organization


async def find_organization_of(database: Database, account: str) -> Organization | None:
    """The one that the account is in."""
    row = await database.fetch_one(
        f"SELECT {_ORGANIZATION} FROM organizations o JOIN organization_members m ON m.organization = o.id "
        "WHERE m.account = ?",
        (account,),
    )
    return None if row is None else _organization(row)


async def find_organization(database: Database, identifier: str) -> Organization | None:
    row = await database.fetch_one(f"SELECT {_ORGANIZATION} FROM organizations o WHERE o.id = ?", (identifier,))
    return None if row is None else _organization(row)


def insert_organization(organization: Organization) -> Unit[None]:
    yield (
        "INSERT INTO organizations (id, management, root_id, features, controls, revision, created_at) "
        "VALUES (?, ?, ?, ?, ?, 1, ?)",
        (
            organization.id,
            organization.management,
            organization.root_id,
            organization.features,
            int(organization.controls),
            organization.created_at,
        ),
    )


def take_turn(identifier: str) -> Unit[Organization | None]:
    """The organization as it is; no other unit changes it until this one is done. None where it is gone."""
    rows = yield (
        "UPDATE organizations SET revision = revision + 1 WHERE id = ? "
        "RETURNING id, management, root_id, features, controls, created_at",
        (identifier,),
    )
    return _organization(rows[0]) if rows else None


def set_features(identifier: str, features: str) -> Unit[None]:
    yield "UPDATE organizations SET features = ? WHERE id = ?", (features, identifier)


def set_controls(identifier: str, *, enabled: bool) -> Unit[None]:
    yield "UPDATE organizations SET controls = ? WHERE id = ?", (int(enabled), identifier)


def delete_organization(identifier: str) -> Unit[None]:
    """With all that is its own."""
    for table in (
        "organization_members",
        "organizational_units",
        "control_policies",
        "control_attachments",
        "organization_tags",
        "account_requests",
        "handshakes",
    ):
        yield f"DELETE FROM {table} WHERE organization = ?", (identifier,)
    yield "DELETE FROM organizations WHERE id = ?", (identifier,)


# -- members


async def list_members(
    database: Database, organization: str, *, parent_id: str | None = None, after: str, limit: int
) -> list[Member]:
    """Of one parent, or all; by account, from the first one after `after`."""
    narrower, values = ("", ()) if parent_id is None else (" AND m.parent_id = ?", (parent_id,))
    rows = await database.fetch(
        f"{_MEMBERS} WHERE m.organization = ?{narrower} AND m.account > ? ORDER BY m.account LIMIT ?",
        (organization, *values, after, limit),
    )
    return [Member(*row) for row in rows]


def read_member(organization: str, account: str) -> Unit[Member | None]:
    rows = yield f"{_MEMBERS} WHERE m.organization = ? AND m.account = ?", (organization, account)
    return Member(*rows[0]) if rows else None


def read_membership(account: str) -> Unit[str | None]:
    """The id of the organization that the account is in."""
    rows = yield "SELECT organization FROM organization_members WHERE account = ?", (account,)
    return rows[0][0] if rows else None


def insert_member(account: str, organization: str, parent_id: str, method: str, now: float) -> Unit[bool]:
    """False where the account is in an organization already."""
    rows = yield (
        "INSERT INTO organization_members (account, organization, parent_id, joined_method, joined_at) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (account) DO NOTHING RETURNING 1",
        (account, organization, parent_id, method, now),
    )
    return bool(rows)


def move_member(account: str, parent_id: str) -> Unit[None]:
    yield "UPDATE organization_members SET parent_id = ? WHERE account = ?", (parent_id, account)


def delete_member(organization: str, account: str) -> Unit[None]:
    """With its attachments and tags in the organization."""
    yield "DELETE FROM organization_members WHERE organization = ? AND account = ?", (organization, account)
    yield "DELETE FROM control_attachments WHERE organization = ? AND target_id = ?", (organization, account)
    yield "DELETE FROM organization_tags WHERE organization = ? AND resource_id = ?", (organization, account)


def list_member_accounts(organization: str) -> Unit[list[tuple[str, str]]]:
    """(account, joined method)."""
    rows = yield (
        "SELECT account, joined_method FROM organization_members WHERE organization = ? ORDER BY account",
        (organization,),
    )
    return [(account, method) for account, method in rows]


# -- units


def read_unit(organization: str, identifier: str) -> Unit[OrganizationalUnit | None]:
    rows = yield (
        f"SELECT {_UNIT} FROM organizational_units WHERE organization = ? AND id = ?",
        (organization, identifier),
    )
    return OrganizationalUnit(*rows[0]) if rows else None


async def list_units(
    database: Database, organization: str, parent_id: str, *, after: str, limit: int
) -> list[OrganizationalUnit]:
    """Of one parent; by id, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_UNIT} FROM organizational_units WHERE organization = ? AND parent_id = ? AND id > ? "
        "ORDER BY id LIMIT ?",
        (organization, parent_id, after, limit),
    )
    return [OrganizationalUnit(*row) for row in rows]


async def list_parents(database: Database, organization: str) -> dict[str, str]:
    """Of every unit."""
    rows = await database.fetch(
        "SELECT id, parent_id FROM organizational_units WHERE organization = ?", (organization,)
    )
    return dict(rows)


def list_unit_ids(organization: str) -> Unit[list[str]]:
    rows = yield "SELECT id FROM organizational_units WHERE organization = ? ORDER BY id", (organization,)
    return [identifier for (identifier,) in rows]


def insert_unit(unit: OrganizationalUnit) -> Unit[bool]:
    """False where its parent has one of that name."""
    rows = yield (
        f"INSERT INTO organizational_units ({_UNIT}) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (organization, parent_id, name) DO NOTHING RETURNING 1",
        (unit.id, unit.organization, unit.parent_id, unit.name, unit.created_at),
    )
    return bool(rows)


def has_unit_named(organization: str, parent_id: str, name: str) -> Unit[bool]:
    rows = yield (
        "SELECT 1 FROM organizational_units WHERE organization = ? AND parent_id = ? AND name = ?",
        (organization, parent_id, name),
    )
    return bool(rows)


def rename_unit(identifier: str, name: str) -> Unit[None]:
    yield "UPDATE organizational_units SET name = ? WHERE id = ?", (name, identifier)


def has_children(organization: str, identifier: str) -> Unit[bool]:
    """Units or accounts."""
    rows = yield (
        "SELECT 1 FROM organizational_units WHERE organization = ? AND parent_id = ? "
        "UNION ALL SELECT 1 FROM organization_members WHERE organization = ? AND parent_id = ? LIMIT 1",
        (organization, identifier, organization, identifier),
    )
    return bool(rows)


def delete_unit(organization: str, identifier: str) -> Unit[None]:
    """With its attachments and tags."""
    yield "DELETE FROM organizational_units WHERE organization = ? AND id = ?", (organization, identifier)
    yield "DELETE FROM control_attachments WHERE organization = ? AND target_id = ?", (organization, identifier)
    yield "DELETE FROM organization_tags WHERE organization = ? AND resource_id = ?", (organization, identifier)


# -- policies


def read_policy(organization: str, identifier: str) -> Unit[ControlPolicy | None]:
    rows = yield f"SELECT {_POLICY} FROM control_policies WHERE organization = ? AND id = ?", (organization, identifier)
    return ControlPolicy(*rows[0]) if rows else None


async def list_policies(database: Database, organization: str, *, after: str, limit: int) -> list[ControlPolicy]:
    """By id, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_POLICY} FROM control_policies WHERE organization = ? AND id > ? ORDER BY id LIMIT ?",
        (organization, after, limit),
    )
    return [ControlPolicy(*row) for row in rows]


def find_policy_named(organization: str, name: str) -> Unit[str | None]:
    """Its id."""
    rows = yield "SELECT id FROM control_policies WHERE organization = ? AND name = ?", (organization, name)
    return rows[0][0] if rows else None


def count_policies(organization: str) -> Unit[int]:
    rows = yield "SELECT COUNT(*) FROM control_policies WHERE organization = ?", (organization,)
    count: int = rows[0][0]
    return count


def insert_policy(policy: ControlPolicy) -> Unit[None]:
    yield (
        f"INSERT INTO control_policies ({_POLICY}) VALUES (?, ?, ?, ?, ?, ?)",
        (policy.id, policy.organization, policy.name, policy.description, policy.content, policy.created_at),
    )


def update_policy(policy: ControlPolicy) -> Unit[None]:
    """Name, description and content."""
    yield (
        "UPDATE control_policies SET name = ?, description = ?, content = ? WHERE id = ?",
        (policy.name, policy.description, policy.content, policy.id),
    )


def delete_policy(organization: str, identifier: str) -> Unit[None]:
    """With its tags."""
    yield "DELETE FROM control_policies WHERE organization = ? AND id = ?", (organization, identifier)
    yield "DELETE FROM organization_tags WHERE organization = ? AND resource_id = ?", (organization, identifier)


# -- attachments


def attach(organization: str, target_id: str, policy_id: str, now: float) -> Unit[bool]:
    """False where it is attached already."""
    rows = yield (
        "INSERT INTO control_attachments (organization, target_id, policy_id, attached_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (organization, target_id, policy_id) DO NOTHING RETURNING 1",
        (organization, target_id, policy_id, now),
    )
    return bool(rows)


def detach(organization: str, target_id: str, policy_id: str) -> Unit[bool]:
    """False where it was not attached."""
    rows = yield (
        "DELETE FROM control_attachments WHERE organization = ? AND target_id = ? AND policy_id = ? RETURNING 1",
        (organization, target_id, policy_id),
    )
    return bool(rows)


def detach_all(organization: str) -> Unit[None]:
    yield "DELETE FROM control_attachments WHERE organization = ?", (organization,)


def count_attached(organization: str, target_id: str) -> Unit[int]:
    """Policies of a target."""
    rows = yield (
        "SELECT COUNT(*) FROM control_attachments WHERE organization = ? AND target_id = ?",
        (organization, target_id),
    )
    count: int = rows[0][0]
    return count


def is_attached(organization: str, policy_id: str) -> Unit[bool]:
    """To anything."""
    rows = yield (
        "SELECT 1 FROM control_attachments WHERE organization = ? AND policy_id = ? LIMIT 1",
        (organization, policy_id),
    )
    return bool(rows)


async def list_attached(
    database: Database, organization: str, target_id: str, *, after: str, limit: int
) -> list[tuple[str, ControlPolicy | None]]:
    """The policies of a target: (id, the policy, None for AWS's own); by id, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT c.policy_id, {', '.join(f'p.{name}' for name in _POLICY.split(', '))} FROM control_attachments c "
        "LEFT JOIN control_policies p ON p.id = c.policy_id "
        "WHERE c.organization = ? AND c.target_id = ? AND c.policy_id > ? ORDER BY c.policy_id LIMIT ?",
        (organization, target_id, after, limit),
    )
    return [(row[0], None if row[1] is None else ControlPolicy(*row[1:])) for row in rows]


async def list_targets(
    database: Database, organization: str, policy_id: str, *, after: str, limit: int
) -> list[tuple[str, str | None]]:
    """The targets of a policy: (id, name of the unit or account, None for the root); by id, from the first one after
    `after`."""
    rows = await database.fetch(
        "SELECT c.target_id, COALESCE(u.name, a.name) FROM control_attachments c "
        "LEFT JOIN organizational_units u ON u.id = c.target_id LEFT JOIN accounts a ON a.id = c.target_id "
        "WHERE c.organization = ? AND c.policy_id = ? AND c.target_id > ? ORDER BY c.target_id LIMIT ?",
        (organization, policy_id, after, limit),
    )
    return [(target, name) for target, name in rows]


async def find_levels(database: Database, account: str) -> tuple[Organization, list[Level]] | None:
    """The organization that an account is in, and what lies on the way to it, root first; read in one statement, so
    that no change is seen by half. None where the account is in no organization."""
    rows = await database.fetch(
        "WITH RECURSIVE way (node, depth) AS ("
        "SELECT account, 0 FROM organization_members WHERE account = ? "
        "UNION ALL SELECT parent_id, 1 FROM organization_members WHERE account = ? "
        "UNION ALL SELECT u.parent_id, w.depth + 1 FROM way w JOIN organizational_units u ON u.id = w.node) "
        f"SELECT {_ORGANIZATION}, w.node, c.policy_id, p.name, p.content "
        "FROM organization_members m JOIN organizations o ON o.id = m.organization CROSS JOIN way w "
        "LEFT JOIN control_attachments c ON c.organization = o.id AND c.target_id = w.node "
        "LEFT JOIN control_policies p ON p.id = c.policy_id "
        "WHERE m.account = ? ORDER BY w.depth DESC, c.policy_id",
        (account, account, account),
    )
    if not rows:
        return None
    found: dict[str, list[tuple[str, str | None, str | None]]] = {}
    for *_, node, policy_id, name, content in rows:
        policies = found.setdefault(node, [])
        if policy_id is not None:
            policies.append((policy_id, name, content))
    levels = [Level(node, tuple(policies)) for node, policies in found.items()]
    return _organization(rows[0][:6]), levels


# -- tags


async def list_tags(database: Database, organization: str, resource_id: str) -> list[tuple[str, str]]:
    """(key, value), by key."""
    rows = await database.fetch(
        "SELECT key, value FROM organization_tags WHERE organization = ? AND resource_id = ? ORDER BY key",
        (organization, resource_id),
    )
    return [(key, value) for key, value in rows]


def put_tags(organization: str, resource_id: str, tags: Sequence[tuple[str, str]]) -> Unit[int]:
    """Add tags, or put other values under their keys; returns how many there are then."""
    for key, value in tags:
        yield (
            "INSERT INTO organization_tags (organization, resource_id, key, value) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (organization, resource_id, key) DO UPDATE SET value = excluded.value",
            (organization, resource_id, key, value),
        )
    rows = yield (
        "SELECT COUNT(*) FROM organization_tags WHERE organization = ? AND resource_id = ?",
        (organization, resource_id),
    )
    count: int = rows[0][0]
    return count


def delete_tags(organization: str, resource_id: str, keys: Sequence[str]) -> Unit[None]:
    if keys:
        yield (
            "DELETE FROM organization_tags WHERE organization = ? AND resource_id = ? "
            f"AND key IN ({placeholders(len(keys))})",
            (organization, resource_id, *keys),
        )


# -- requests for accounts


def insert_request(request: AccountRequest) -> Unit[None]:
    yield (
        f"INSERT INTO account_requests ({_REQUEST}) VALUES ({placeholders(7)})",
        (
            request.id,
            request.organization,
            request.name,
            request.state,
            request.account,
            request.failure,
            request.requested_at,
        ),
    )


async def find_request(database: Database, organization: str, identifier: str) -> AccountRequest | None:
    row = await database.fetch_one(
        f"SELECT {_REQUEST} FROM account_requests WHERE organization = ? AND id = ?", (organization, identifier)
    )
    return None if row is None else AccountRequest(*row)


async def list_requests(
    database: Database, organization: str, states: Sequence[str], *, after: str, limit: int
) -> list[AccountRequest]:
    """In one of `states`; by id, from the first one after `after`."""
    rows = await database.fetch(
        f"SELECT {_REQUEST} FROM account_requests WHERE organization = ? AND state IN ({placeholders(len(states))}) "
        "AND id > ? ORDER BY id LIMIT ?",
        (organization, *states, after, limit),
    )
    return [AccountRequest(*row) for row in rows]
