-- What was decided. A segment holds some seconds of one process's decisions: `cases` says of what kind they were (who, what,
-- with which context, under which policies, with what answer), `records` when each was made; both compressed.
CREATE TABLE audit_segments (
    id TEXT NOT NULL PRIMARY KEY,
    started_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION NOT NULL,
    decisions BIGINT NOT NULL,
    size BIGINT NOT NULL,
    cases BYTEA NOT NULL,
    records BYTEA NOT NULL
);
CREATE INDEX audit_segments_by_end ON audit_segments (ended_at, id, started_at, decisions, size);
-- The texts of the policies that segments name by digest. `used_at` is coarse.
CREATE TABLE audit_policies (
    digest TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    size BIGINT NOT NULL,
    used_at DOUBLE PRECISION NOT NULL
);
CREATE INDEX audit_policies_by_use ON audit_policies (used_at, size);
