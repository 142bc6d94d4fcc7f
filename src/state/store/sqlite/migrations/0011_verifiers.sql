-- What an old system said of an account: the hash that it confirmed (SHA-256 of its text), or that it refused it since.
CREATE TABLE takeovers (
    account      BLOB PRIMARY KEY,
    verifier     TEXT NOT NULL,
    hash         BLOB,
    confirmed_at INTEGER,
    refused_at   INTEGER
) STRICT;

-- Logins that a confirmed hash decided alone while the old system was away.
CREATE TABLE trusted_logins (
    session    BLOB PRIMARY KEY,
    account    BLOB NOT NULL,
    realm      TEXT NOT NULL,
    verifier   TEXT NOT NULL,
    -- The hash that decided: an old system's word about another secret says nothing of this login.
    hash       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    -- Until when it is believed.
    expires_at INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'refused', 'expired')),
    settled_at INTEGER
) STRICT;
CREATE INDEX trusted_logins_pending ON trusted_logins (account) WHERE state = 'pending';

-- Opaque tokens of an old system, by SHA-256 of their text. NULL: without expiry.
CREATE TABLE old_tokens (
    realm      TEXT NOT NULL,
    hash       BLOB NOT NULL,
    account    BLOB NOT NULL,
    -- The account's when it was imported: what ends the account's tokens ends these.
    epoch      INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (realm, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX old_tokens_end ON old_tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX old_tokens_account ON old_tokens (account);

-- Logins by verifier and step, tokens by imported key; days since the Unix epoch.
CREATE TABLE migration_counts (
    day   INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    what  TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (day, kind, what)
) STRICT, WITHOUT ROWID;

-- Who decides for a realm: Portero, or the old system that it takes over from.
CREATE TABLE migration_steps (
    realm         TEXT PRIMARY KEY,
    portero       INTEGER NOT NULL CHECK (portero IN (0, 1)),
    since         INTEGER NOT NULL,
    -- How many accounts may be lost in going back.
    accepted_loss INTEGER NOT NULL
) STRICT;

CREATE TRIGGER takeover_forgotten AFTER DELETE ON principals BEGIN
    DELETE FROM takeovers WHERE account = OLD.id;
    DELETE FROM old_tokens WHERE account = OLD.id;
END;
