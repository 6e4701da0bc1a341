-- Why nothing may be changed at the moment: while there is a row here, what requests ask for is not written (store/seals.py).
CREATE TABLE seals (
    name TEXT NOT NULL PRIMARY KEY,
    reason TEXT NOT NULL,
    sealed_at DOUBLE PRECISION NOT NULL
);
-- What stays the same of a registry wherever its rows are moved: backups know it again by its `registry`.
CREATE TABLE properties (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
