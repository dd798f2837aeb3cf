-- What a store remembers of backups: that it came out of one, and how far denials are kept beside them.

-- Each time the store was put back. While the last is not confirmed, the service issues nothing.
CREATE TABLE restoration (
    id INTEGER PRIMARY KEY,
    -- When the copy was made that this store came from: what was issued later may be unknown to it.
    snapshot_at INTEGER NOT NULL,
    restored_at INTEGER NOT NULL,
    -- When an operator said that the instance of before is gone.
    confirmed_at INTEGER
) STRICT;

-- Up to which audit record denials and revocations stand in the journal beside the backups.
ALTER TABLE deployment ADD COLUMN journalled_seq INTEGER NOT NULL DEFAULT 0;

-- The newest backup that was wholly verified, as whoever verified it has reported.
CREATE TABLE backup_verified (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    created_at INTEGER NOT NULL,
    -- Of the manifest.
    manifest_sha256 BLOB NOT NULL,
    verified_at INTEGER NOT NULL
) STRICT;
