-- What this process and others remember of identities and policies holds while the number stands.
CREATE TABLE epochs (
    name TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
);
INSERT INTO epochs (name, number) VALUES ('permissions', 1);
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    status TEXT NOT NULL,
    alias TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
-- Names are unique without regard to case: `folded` is the name in lower case. Ids are AWS's unique ids (AIDA..., AROA...).
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    boundary TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (account, folded)
);
CREATE INDEX users_by_boundary ON users (account, boundary) WHERE boundary <> '';
CREATE TABLE user_groups (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (account, folded)
);
CREATE TABLE group_members (
    group_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    joined_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (group_id, user_id)
) {clustered};
CREATE INDEX group_members_by_user ON group_members (user_id);
CREATE TABLE roles (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    trust TEXT NOT NULL,
    description TEXT NOT NULL,
    max_session BIGINT NOT NULL,
    boundary TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    used_at DOUBLE PRECISION,
    used_region TEXT NOT NULL,
    UNIQUE (account, folded)
);
CREATE INDEX roles_by_boundary ON roles (account, boundary) WHERE boundary <> '';
CREATE TABLE instance_profiles (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    role_id TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    UNIQUE (account, folded)
);
CREATE INDEX instance_profiles_by_role ON instance_profiles (role_id);
-- `owner_id` is a user's, or the account's number for its root user. `secret` is encrypted under the server key.
CREATE TABLE access_keys (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    secret BYTEA NOT NULL,
    status TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    used_at DOUBLE PRECISION,
    used_service TEXT NOT NULL,
    used_region TEXT NOT NULL
);
CREATE INDEX access_keys_by_owner ON access_keys (owner_id);
-- The customers' managed policies; those of AWS are part of the program.
CREATE TABLE managed_policies (
    arn TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    path TEXT NOT NULL,
    description TEXT NOT NULL,
    default_version BIGINT NOT NULL,
    latest_version BIGINT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    UNIQUE (account, folded)
);
CREATE TABLE policy_versions (
    arn TEXT NOT NULL,
    number BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (arn, number)
);
-- `owner_id` is a user's, group's or role's, `account` is its.
CREATE TABLE policy_attachments (
    owner_id TEXT NOT NULL,
    policy_arn TEXT NOT NULL,
    account TEXT NOT NULL,
    attached_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (owner_id, policy_arn)
) {clustered};
CREATE INDEX policy_attachments_by_policy ON policy_attachments (account, policy_arn);
CREATE TABLE inline_policies (
    owner_id TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (owner_id, name)
);
-- `owner_id` is a user's, role's, instance profile's or policy's id, or an OIDC provider's ARN.
CREATE TABLE identity_tags (
    owner_id TEXT NOT NULL,
    folded TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (owner_id, folded)
) {clustered};
CREATE TABLE oidc_providers (
    arn TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    url TEXT NOT NULL,
    client_ids TEXT NOT NULL,
    thumbprints TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX oidc_providers_by_account ON oidc_providers (account, url);
-- When an identity last used an action.
CREATE TABLE last_accessed (
    identity_id TEXT NOT NULL,
    action TEXT NOT NULL,
    region TEXT NOT NULL,
    used_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (identity_id, action)
) {clustered};
-- Reports of what was last accessed, as jobs: what they say is read when it is asked for.
CREATE TABLE access_reports (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    arn TEXT NOT NULL,
    granularity TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX access_reports_by_age ON access_reports (created_at);
