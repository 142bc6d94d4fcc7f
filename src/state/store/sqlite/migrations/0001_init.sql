-- Times are milliseconds since the Unix epoch; identities are the 16 bytes of a UUID.

-- Facts about the store itself: the master key's fingerprint, the revision of `keys`.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Signing and sealing keys, sealed under the master key.
CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    realm      TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('active', 'retiring', 'revoked')),
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- One key signs for a realm: two processes that start together make one.
CREATE UNIQUE INDEX keys_active ON keys (realm) WHERE state = 'active';

-- Every change of a key raises the revision, so that a gateway sees it in one row.
INSERT INTO meta (name, value) VALUES ('keys_revision', CAST('0' AS BLOB));
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;
CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;

-- The companies of `become`: a client whose company is missing or disabled gets 404.
CREATE TABLE companies (
    realm      TEXT NOT NULL,
    name       TEXT NOT NULL,
    disabled   INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (realm, name)
) STRICT;

-- Users, clients and projects. `business` is a part of a project's name and empty elsewhere.
CREATE TABLE principals (
    id            BLOB PRIMARY KEY,
    realm         TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('user', 'client', 'project')),
    business      TEXT NOT NULL DEFAULT '',
    name          TEXT NOT NULL,
    display_name  TEXT,
    legacy_id     INTEGER,
    role          TEXT,
    scopes        TEXT NOT NULL DEFAULT '',
    company       TEXT,
    password_hash TEXT NOT NULL,
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    locked        INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)),
    epoch         INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    UNIQUE (realm, business, name)
) STRICT;

CREATE UNIQUE INDEX principals_legacy_id ON principals (realm, legacy_id) WHERE legacy_id IS NOT NULL;

-- Logins. All tokens of one carry its id.
CREATE TABLE sessions (
    id         BLOB PRIMARY KEY,
    realm      TEXT NOT NULL,
    principal  BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

CREATE INDEX sessions_principal ON sessions (principal, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;

-- What is refused before its time. `seq` grows with every write, in commit order, so that a gateway
-- reads only what it has not seen; a row that changes gets a new `seq`.
CREATE TABLE revocations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL CHECK (kind IN ('token', 'session', 'principal')),
    subject    BLOB NOT NULL,
    epoch      INTEGER,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (kind, subject)
) STRICT;

CREATE INDEX revocations_expiry ON revocations (expires_at) WHERE expires_at IS NOT NULL;
