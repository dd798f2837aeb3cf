-- Times are milliseconds since the epoch. Serial numbers, key identifiers and hashes are BLOBs here; the view
-- `certificate` shows them as people write them.

-- What the store belongs to, and where its counters stand. One row.
CREATE TABLE deployment (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    trust_domain TEXT,
    plan TEXT,
    initialized_at INTEGER,
    bundle_version INTEGER NOT NULL DEFAULT 0,
    spiffe_sequence INTEGER NOT NULL DEFAULT 0,
    -- Up to when the expiry of CAs is accounted for in the two versions above.
    bundle_at INTEGER NOT NULL DEFAULT 0,
    newest_time INTEGER NOT NULL DEFAULT 0,
    -- The number given to a certificate last; purged ones are not given again.
    last_certificate INTEGER NOT NULL DEFAULT 0,
    -- The audit log's head: without it, records cut off at the end would not be missed.
    audit_seq INTEGER NOT NULL DEFAULT 0,
    audit_hash BLOB NOT NULL
) STRICT;

CREATE TABLE ca_key (
    role TEXT NOT NULL CHECK (role IN ('root', 'services', 'transport', 'token')),
    generation INTEGER NOT NULL CHECK (generation > 0),
    algorithm TEXT NOT NULL,
    backend TEXT NOT NULL,
    -- As the operator typed it; NULL where the key was made.
    reference TEXT,
    nonce BLOB NOT NULL,
    uri TEXT,
    spki BLOB,
    spki_hash BLOB UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('intended', 'made', 'certified', 'active', 'retired')),
    intended_at INTEGER NOT NULL,
    PRIMARY KEY (role, generation)
) STRICT;

-- What is about to be signed for a key: after a crash the same bytes are signed again.
CREATE TABLE ca_intention (
    role TEXT NOT NULL,
    generation INTEGER NOT NULL,
    serial BLOB NOT NULL UNIQUE,
    tbs BLOB NOT NULL,
    PRIMARY KEY (role, generation),
    FOREIGN KEY (role, generation) REFERENCES ca_key (role, generation)
) STRICT;

CREATE TABLE ca (
    id INTEGER PRIMARY KEY,
    role TEXT NOT NULL,
    generation INTEGER NOT NULL,
    ski BLOB NOT NULL UNIQUE,
    issuer INTEGER NOT NULL REFERENCES ca (id) DEFERRABLE INITIALLY DEFERRED,
    serial BLOB NOT NULL UNIQUE,
    common_name TEXT NOT NULL,
    der BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    activated_at INTEGER,
    revoked_at INTEGER,
    UNIQUE (role, generation),
    FOREIGN KEY (role, generation) REFERENCES ca_key (role, generation)
) STRICT;

-- What changes with every certificate of a CA; apart from its row, which is large.
CREATE TABLE ca_count (
    ca INTEGER PRIMARY KEY REFERENCES ca (id),
    issued INTEGER NOT NULL DEFAULT 0,
    -- The latest expiry of any certificate it signed.
    last_expiry INTEGER NOT NULL DEFAULT 0
) STRICT;

-- SPIFFE ids are long and repeat; certificates and their indexes hold the number.
CREATE TABLE identity (
    id INTEGER PRIMARY KEY,
    spiffe_id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE certificate_record (
    id INTEGER PRIMARY KEY,
    -- NULL for a CA.
    identity INTEGER REFERENCES identity (id),
    issuer INTEGER NOT NULL REFERENCES ca (id),
    -- 0 active, 1 held, 2 revoked; that it has expired is a matter of the clock.
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 2),
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    adopted INTEGER NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1)),
    serial BLOB NOT NULL UNIQUE,
    spki BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    -- Not as a list: for IN with more than two values, SQLite makes a table of them at every INSERT.
    type TEXT NOT NULL CHECK (
        type = 'end-entity' OR type = 'root-ca' OR type = 'services-ca' OR type = 'transport-ca'),
    common_name TEXT NOT NULL,
    certificate_pem TEXT NOT NULL
) STRICT;

-- Of random values the first octets are enough to find a row, and keep a million entries small.
CREATE INDEX certificate_by_fingerprint ON certificate_record (substr(fingerprint, 1, 11));
-- Renewals with one key lie side by side under their identity, so that "has another one this key?" skips them.
CREATE INDEX certificate_by_key ON certificate_record (substr(spki, 1, 8), identity, not_after);
CREATE INDEX certificate_by_identity ON certificate_record (identity, not_after);
CREATE INDEX certificate_by_expiry ON certificate_record (not_after, state, identity);
CREATE INDEX certificate_by_state ON certificate_record (state, identity) WHERE state > 0;

CREATE VIEW certificate AS
SELECT lower(hex(c.serial)) AS serial,
    c.fingerprint AS fingerprint,
    c.type AS type,
    c.common_name AS common_name,
    i.spiffe_id AS spiffe_id,
    c.certificate_pem AS certificate_pem,
    lower(hex(a.serial)) AS issuer_serial,
    c.not_before AS not_before,
    c.not_after AS not_after,
    CASE
        WHEN c.state = 2 THEN 'revoked'
        WHEN c.not_after <= CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) THEN 'expired'
        WHEN c.state = 1 THEN 'held'
        ELSE 'active'
    END AS status,
    c.created_at AS created_at,
    c.adopted AS adopted
FROM certificate_record AS c
JOIN ca AS a ON a.id = c.issuer
LEFT JOIN identity AS i ON i.id = c.identity;

-- How many end-entity certificates in state 0 end in each minute: counting them does not read them.
CREATE TABLE expiry_minute (
    minute INTEGER PRIMARY KEY,
    active INTEGER NOT NULL
) STRICT;

-- Kept for ever: a name does not change hands because a certificate was purged.
CREATE TABLE name_owner (
    name TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL,
    claimed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys of revoked certificates, for ever.
CREATE TABLE blocked_key (
    spki_hash BLOB PRIMARY KEY,
    serial BLOB NOT NULL,
    blocked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE denied_identity (
    spiffe_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    denied_at INTEGER NOT NULL,
    compromised INTEGER NOT NULL CHECK (compromised IN (0, 1))
) STRICT, WITHOUT ROWID;

-- The CRL of each CA. `revision` counts changes of its list; `published_revision` is what the published one says.
CREATE TABLE crl (
    ca INTEGER PRIMARY KEY REFERENCES ca (id),
    reserved_number INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    published_number INTEGER,
    published_revision INTEGER NOT NULL DEFAULT 0,
    this_update INTEGER,
    next_update INTEGER,
    der BLOB
) STRICT;

CREATE TABLE crl_reservation (
    ca INTEGER NOT NULL REFERENCES crl (ca),
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (ca, number)
) STRICT, WITHOUT ROWID;

-- What stands on the next CRL. Outlives the certificate's row.
CREATE TABLE crl_entry (
    ca INTEGER NOT NULL REFERENCES crl (ca),
    serial BLOB NOT NULL,
    revoked_at INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    -- The certificate's end.
    not_after INTEGER NOT NULL,
    -- The list's revision that brought the entry.
    revision INTEGER NOT NULL,
    PRIMARY KEY (ca, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    jti TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    principal TEXT NOT NULL,
    entity TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE TABLE preset_secret (
    kind TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    first_seen INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (kind, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    prev_hash BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
