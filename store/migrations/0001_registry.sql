-- Registries are named by account and region. Rows of a repository carry its id; digests are text, `sha256:<hex>`.
-- Times are seconds since the epoch.
CREATE TABLE repositories (
    id BIGINT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    mutability TEXT NOT NULL,
    exclusions TEXT NOT NULL,
    scan_on_push INTEGER NOT NULL,
    encryption TEXT NOT NULL,
    UNIQUE (account, region, name)
);
CREATE TABLE resource_tags (
    repository_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (repository_id, key)
) {clustered};
CREATE TABLE creation_templates (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    prefix TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account, region, prefix)
) {clustered};
-- One row a digest, shared by every repository that links it. `key` is the blob driver's.
CREATE TABLE blobs (
    digest TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    size BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX blobs_by_key ON blobs (key);
-- `kept_at`: when the grace of a blob began that no manifest of the repository names; far in the future while one does.
CREATE TABLE repository_blobs (
    repository_id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    kept_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (repository_id, digest)
) {clustered};
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);
CREATE INDEX repository_blobs_by_kept ON repository_blobs (kept_at) WHERE kept_at < 1e14;
-- Tombstones: keys whose row is gone and whose bytes are about to be.
CREATE TABLE condemned (
    key TEXT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    condemned_at DOUBLE PRECISION NOT NULL
) {clustered};
CREATE INDEX condemned_by_time ON condemned (condemned_at);
CREATE TABLE manifests (
    repository_id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    subject TEXT,
    annotations TEXT,
    content BYTEA NOT NULL,
    image_size BIGINT NOT NULL,
    pushed_at DOUBLE PRECISION NOT NULL,
    pulled_at DOUBLE PRECISION,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest) WHERE subject IS NOT NULL;
-- What a manifest names: kind is blob or manifest.
CREATE TABLE manifest_references (
    repository_id BIGINT NOT NULL,
    manifest TEXT NOT NULL,
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest)
) {clustered};
CREATE INDEX manifest_references_by_digest ON manifest_references (repository_id, digest);
CREATE TABLE tags (
    repository_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    updated_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (repository_id, name)
) {clustered};
CREATE INDEX tags_by_digest ON tags (repository_id, digest);
-- An upload under way: `received` bytes lie under the driver's name `staged`; `digest` is theirs. `turn` counts claims.
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    repository_id BIGINT NOT NULL,
    principal TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    staged TEXT NOT NULL,
    received BIGINT NOT NULL,
    digest TEXT NOT NULL,
    turn BIGINT NOT NULL,
    smallest_part BIGINT NOT NULL,
    last_part BIGINT NOT NULL,
    touched_at DOUBLE PRECISION NOT NULL
) {clustered};
