-- What credentials rest on: tokens, what was used up of them, and the audit log's sealed part.

-- Tokens get a number, by which lists are paged.
ALTER TABLE token RENAME TO token_before;
CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    jti TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    principal TEXT NOT NULL,
    entity TEXT NOT NULL,
    -- The certificate that it is bound to, as `certificate.fingerprint` shows it.
    certificate_fingerprint TEXT,
    -- Of bootstrap credentials alone: the one identity they serve, and how many certificates they may bring.
    bootstrap_spiffe_id TEXT,
    bootstrap_uses INTEGER,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    CHECK (bootstrap_spiffe_id IS NULL OR bootstrap_uses IS NOT NULL)
) STRICT;
INSERT INTO token (jti, subject, principal, entity, issued_at, expires_at, revoked_at)
SELECT jti, subject, principal, entity, issued_at, expires_at, revoked_at FROM token_before ORDER BY rowid;
DROP TABLE token_before;
CREATE INDEX token_by_certificate ON token (certificate_fingerprint) WHERE certificate_fingerprint IS NOT NULL;
CREATE INDEX token_by_revocation ON token (expires_at, jti) WHERE revoked_at IS NOT NULL;
CREATE INDEX token_by_expiry ON token (expires_at) WHERE revoked_at IS NULL;

-- Names by which tokens are revoked, in the order in which they were given.
CREATE TABLE token_san (
    token INTEGER NOT NULL REFERENCES token (id),
    place INTEGER NOT NULL,
    san TEXT NOT NULL,
    PRIMARY KEY (token, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX token_by_san ON token_san (san, token);

-- Until when a retired token key's tokens are taken. Those that were retired so far had no grace.
ALTER TABLE ca_key ADD COLUMN verifies_until INTEGER;
UPDATE ca_key SET verifies_until = (SELECT newest_time FROM deployment) WHERE role = 'token' AND state = 'retired';

-- Each certificate that a bootstrap credential has brought. Outlives the certificate: what is spent stays spent.
CREATE TABLE bootstrap_use (
    id INTEGER PRIMARY KEY,
    -- The token's jti, or `preset:` and the secret's SHA-256 in base64url.
    credential TEXT NOT NULL,
    spki BLOB NOT NULL,
    serial BLOB NOT NULL,
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX bootstrap_use_by_credential ON bootstrap_use (credential, spki, serial);

-- Proofs of renewal that were used: SHA-256 of the proof's jti. Those that ended long ago go as others come.
CREATE TABLE renewal_proof (
    jti_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX renewal_proof_by_expiry ON renewal_proof (expires_at);

-- The part of the audit log that lies in sealed files. The records here continue from the last of these.
CREATE TABLE audit_file (
    last_seq INTEGER PRIMARY KEY,
    last_hash BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    dropped_at INTEGER NOT NULL
) STRICT;

-- SHA-256 of the policies that were last in force, so that others are noticed over a restart too.
ALTER TABLE deployment ADD COLUMN policies TEXT;
