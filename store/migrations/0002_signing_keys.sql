-- Keys that sign registry tokens, encrypted under the server key; one without `retired_at` signs, the others verify.
CREATE TABLE signing_keys (
    id TEXT NOT NULL PRIMARY KEY,
    secret BYTEA NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    retired_at DOUBLE PRECISION
);
-- Background loops run in one process at a time: the holder of the lease.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);
