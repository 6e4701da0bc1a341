-- When an upload's digest was found: bytes that are staged on a disk may be lost with the machine, and the digest is then of
-- others (store/blobs/driver.py, era).
ALTER TABLE uploads ADD COLUMN era TEXT NOT NULL DEFAULT '';
