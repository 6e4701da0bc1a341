-- What the collector works from. A tombstone says why it is there: upload, duplicate, unreferenced, deleted, repository,
-- orphan; an orphan whose bytes are gone stays for a while as buried, so that no late row can name its key.
ALTER TABLE condemned ADD COLUMN reason TEXT NOT NULL DEFAULT '';
CREATE INDEX uploads_by_touch ON uploads (touched_at);
CREATE INDEX uploads_by_repository ON uploads (repository_id);
-- What never changes of the name of staged bytes is its beginning, up to a space.
CREATE INDEX uploads_by_stage ON uploads (substr(staged, 1, 64));
-- Repositories that are gone; their manifests, tags and blobs, which nobody can see any more, go one batch after the other.
CREATE TABLE deleted_repositories (
    repository_id BIGINT NOT NULL PRIMARY KEY,
    deleted_at DOUBLE PRECISION NOT NULL
);
-- Manifests that are gone and that others name as their subject.
CREATE TABLE deleted_subjects (
    repository_id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    deleted_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (repository_id, digest)
) {clustered};
CREATE INDEX deleted_subjects_by_time ON deleted_subjects (deleted_at);
-- What was reclaimed so far, by reason.
CREATE TABLE reclaimed (
    reason TEXT NOT NULL PRIMARY KEY,
    items BIGINT NOT NULL,
    bytes BIGINT NOT NULL
) {clustered};
-- The collector's two kinds of work, `round` and `search`: when the last one began, when the last one that succeeded ended
-- and how many seconds it took, whether one is under way and where it stands, what it found.
CREATE TABLE collections (
    kind TEXT NOT NULL PRIMARY KEY,
    began_at DOUBLE PRECISION NOT NULL,
    ended_at DOUBLE PRECISION NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    under_way INTEGER NOT NULL,
    place TEXT NOT NULL,
    found TEXT NOT NULL
) {clustered};
