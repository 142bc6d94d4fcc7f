-- It only adds: gateways of the first schema run on beside it, so `oldest_schema` stays.

-- What an old system said of an account: the hash that it confirmed (SHA-256 of its text), or that it refused it since.
CREATE TABLE takeovers (
    account      BYTEA PRIMARY KEY,
    verifier     TEXT NOT NULL,
    hash         BYTEA,
    confirmed_at BIGINT,
    refused_at   BIGINT
);

-- Logins that a confirmed hash decided alone while the old system was away.
CREATE TABLE trusted_logins (
    session    BYTEA PRIMARY KEY,
    account    BYTEA NOT NULL,
    realm      TEXT COLLATE "C" NOT NULL,
    verifier   TEXT NOT NULL,
    -- The hash that decided: an old system's word about another secret says nothing of this login.
    hash       BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    -- Until when it is believed.
    expires_at BIGINT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'refused', 'expired')),
    settled_at BIGINT
);
CREATE INDEX trusted_logins_pending ON trusted_logins (account) WHERE state = 'pending';

-- Opaque tokens of an old system, by SHA-256 of their text. NULL: without expiry.
CREATE TABLE old_tokens (
    realm      TEXT COLLATE "C" NOT NULL,
    hash       BYTEA NOT NULL,
    account    BYTEA NOT NULL,
    -- The account's when it was imported: what ends the account's tokens ends these.
    epoch      BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (realm, hash)
);
CREATE INDEX old_tokens_end ON old_tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX old_tokens_account ON old_tokens (account);

-- Logins by verifier and step, tokens by imported key; days since the Unix epoch.
CREATE TABLE migration_counts (
    day   BIGINT NOT NULL,
    kind  TEXT COLLATE "C" NOT NULL,
    what  TEXT COLLATE "C" NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (day, kind, what)
);

-- Who decides for a realm: Portero, or the old system that it takes over from.
CREATE TABLE migration_steps (
    realm         TEXT COLLATE "C" PRIMARY KEY,
    portero       BOOLEAN NOT NULL,
    since         BIGINT NOT NULL,
    -- How many accounts may be lost in going back.
    accepted_loss BIGINT NOT NULL
);

CREATE FUNCTION takeover_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM takeovers WHERE account = OLD.id;
    DELETE FROM old_tokens WHERE account = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER takeover_forgotten AFTER DELETE ON principals FOR EACH ROW EXECUTE FUNCTION takeover_forgotten();
