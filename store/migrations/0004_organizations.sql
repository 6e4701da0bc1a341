-- `revision` is raised first by every unit that changes something of an organization: they run one after the other.
-- `controls` is 1 while service control policies are enabled in its root.
CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    management TEXT NOT NULL,
    root_id TEXT NOT NULL,
    features TEXT NOT NULL,
    controls INTEGER NOT NULL,
    revision BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
CREATE TABLE organization_members (
    account TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    joined_method TEXT NOT NULL,
    joined_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX organization_members_by_parent ON organization_members (organization, parent_id, account);
CREATE TABLE organizational_units (
    id TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (organization, parent_id, name)
);
-- FullAWSAccess, which is AWS's, is part of the program.
CREATE TABLE control_policies (
    id TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (organization, name)
);
-- `target_id` is a root's, a unit's or an account's.
CREATE TABLE control_attachments (
    organization TEXT NOT NULL,
    target_id TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    attached_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (organization, target_id, policy_id)
) {clustered};
CREATE INDEX control_attachments_by_policy ON control_attachments (organization, policy_id, target_id);
CREATE TABLE organization_tags (
    organization TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (organization, resource_id, key)
) {clustered};
CREATE TABLE account_requests (
    id TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    account TEXT NOT NULL,
    failure TEXT NOT NULL,
    requested_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX account_requests_by_organization ON account_requests (organization, id);
-- `account` or `email` is whom it is for; both empty: the organization itself. `tags` (JSON) are for who accepts.
CREATE TABLE handshakes (
    id TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    action TEXT NOT NULL,
    parent TEXT NOT NULL,
    account TEXT NOT NULL,
    email TEXT NOT NULL,
    notes TEXT NOT NULL,
    tags TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION
);
CREATE INDEX handshakes_by_organization ON handshakes (organization, id);
CREATE INDEX handshakes_by_account ON handshakes (account, id) WHERE account <> '';
CREATE INDEX handshakes_by_email ON handshakes (email, id) WHERE email <> '';
