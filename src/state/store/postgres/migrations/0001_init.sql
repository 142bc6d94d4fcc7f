-- Times are milliseconds since the Unix epoch; identities are the 16 bytes of a UUID. Texts sort by their bytes.
-- Names, meaning and constraints of the tables are those of the SQLite store, so that one statement serves both.

-- Facts about the store itself: the master key's fingerprint, the revision of `keys`, the oldest schema version whose
-- release still runs on this one.
CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);
INSERT INTO meta (name, value) VALUES ('oldest_schema', '1');

-- Signing and sealing keys, sealed under the master key.
CREATE TABLE keys (
    id             TEXT COLLATE "C" PRIMARY KEY,
    realm          TEXT COLLATE "C" NOT NULL,
    algorithm      TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired', 'revoked')),
    -- A secret or a key pair; or a public key alone, which verifies and does not sign.
    form           TEXT NOT NULL DEFAULT 'secret' CHECK (form IN ('secret', 'public')),
    -- Under the master key. NULL when it is wiped.
    sealed         BYTEA,
    -- How its tokens are read, as JSON; NULL for Portero's own claims.
    profile        TEXT,
    imported       BOOLEAN NOT NULL DEFAULT FALSE,
    -- The schedule leaves it where it is: services behind verify its tokens themselves.
    pinned         BOOLEAN NOT NULL DEFAULT FALSE,
    -- A next key that an administrator asked for: it signs as soon as it was published long enough.
    asked          BOOLEAN NOT NULL DEFAULT FALSE,
    created_at     BIGINT NOT NULL,
    activated_at   BIGINT,
    retiring_since BIGINT,
    -- When its last token has ended; NULL: never by itself.
    retires_at     BIGINT,
    -- When it was retired or revoked.
    ended_at       BIGINT,
    CHECK (sealed IS NOT NULL OR state IN ('retired', 'revoked')),
    CHECK ((state IN ('retired', 'revoked')) = (ended_at IS NOT NULL))
);
-- One key signs for a realm, and one is next: two gateways that rotate together make one.
CREATE UNIQUE INDEX keys_active ON keys (realm) WHERE state = 'active';
CREATE UNIQUE INDEX keys_next ON keys (realm) WHERE state = 'next';

-- Keys whose material was wiped, and what tells that from any other, under the master key. NULL where the material did
-- not open.
CREATE TABLE wiped_keys (
    key        TEXT COLLATE "C" PRIMARY KEY,
    thumbprint BYTEA
);

-- What is known of keys from outside.
CREATE TABLE imported_keys (
    key              TEXT COLLATE "C" PRIMARY KEY,
    -- Whether tokens of accounts that the store does not have are taken.
    unknown_accounts BOOLEAN NOT NULL,
    -- The epochs that accounts had when the key was imported, where they were not 0: 20 bytes an account.
    epochs           BYTEA NOT NULL
);

-- Every change of a key raises the revision, so that a gateway sees it in one row.
INSERT INTO meta (name, value) VALUES ('keys_revision', '0');
CREATE FUNCTION keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE meta SET value = convert_to((convert_from(value, 'UTF8')::bigint + 1)::text, 'UTF8')
    WHERE name = 'keys_revision';
    RETURN NULL;
END $$;
-- For each row: a statement that changes none raises nothing.
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON keys
    FOR EACH ROW EXECUTE FUNCTION keys_changed();
CREATE TRIGGER imported_keys_updated AFTER UPDATE ON imported_keys
    FOR EACH ROW EXECUTE FUNCTION keys_changed();
CREATE FUNCTION key_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM wiped_keys WHERE key = OLD.id;
    DELETE FROM imported_keys WHERE key = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER key_forgotten AFTER DELETE ON keys FOR EACH ROW EXECUTE FUNCTION key_forgotten();

-- A key with what is known of it beside its row.
CREATE VIEW known_keys AS
SELECT id, realm, algorithm, state, form, sealed, profile, imported, pinned, asked, created_at, activated_at,
       retiring_since, retires_at, ended_at,
       sealed IS NULL OR wiped_keys.key IS NOT NULL AS wiped, thumbprint,
       coalesce(unknown_accounts, FALSE) AS unknown_accounts
FROM keys
LEFT JOIN wiped_keys ON wiped_keys.key = keys.id
LEFT JOIN imported_keys ON imported_keys.key = keys.id;

-- The companies of `become`: a client whose company is missing or disabled gets 404.
CREATE TABLE companies (
    realm      TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    disabled   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);

-- Users, clients and projects. `business` is a part of a project's name and empty elsewhere.
CREATE TABLE principals (
    id            BYTEA PRIMARY KEY,
    realm         TEXT COLLATE "C" NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('user', 'client', 'project')),
    business      TEXT COLLATE "C" NOT NULL DEFAULT '',
    name          TEXT COLLATE "C" NOT NULL,
    display_name  TEXT,
    legacy_id     BIGINT,
    role          TEXT,
    scopes        TEXT NOT NULL DEFAULT '',
    company       TEXT COLLATE "C",
    password_hash TEXT COLLATE "C" NOT NULL,
    disabled      BOOLEAN NOT NULL DEFAULT FALSE,
    locked        BOOLEAN NOT NULL DEFAULT FALSE,
    epoch         BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    -- The grants that a client of OAuth may use, separated by spaces; NULL for all of them.
    grants        TEXT,
    UNIQUE (realm, business, name)
);
CREATE UNIQUE INDEX principals_legacy_id ON principals (realm, legacy_id) WHERE legacy_id IS NOT NULL;

-- Accounts are numbered in the order in which they come, so that a gateway reads only those it has not seen. Who makes
-- one holds a lock until it is committed, so that no number becomes visible after a higher one.
CREATE TABLE account_numbers (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account BYTEA NOT NULL UNIQUE
);
CREATE FUNCTION account_numbered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_numbers (account) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER account_numbered AFTER INSERT ON principals FOR EACH ROW EXECUTE FUNCTION account_numbered();
CREATE FUNCTION account_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM account_numbers WHERE account = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER account_deleted AFTER DELETE ON principals FOR EACH ROW EXECUTE FUNCTION account_deleted();

-- Logins. All tokens of one carry its id. `rowid` is the order in which they were written.
CREATE TABLE sessions (
    id         BYTEA PRIMARY KEY,
    rowid      BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    realm      TEXT COLLATE "C" NOT NULL,
    principal  BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- The principal's epoch at the login: a session below the present one has ended.
    epoch      BIGINT
);
CREATE INDEX sessions_principal ON sessions (principal, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;
-- Sessions without expiry are counted at each such login: a principal has only so many.
CREATE INDEX sessions_endless ON sessions (principal) WHERE expires_at IS NULL;

-- Principals that were deleted and have sessions still, which are cleared away in pieces.
CREATE TABLE deletions (
    principal BYTEA PRIMARY KEY
);

-- What is refused before its time: the state. One row a subject, which only ever becomes stricter. It is dropped by its
-- expiry alone, by trusted time, and without expiry never.
CREATE TABLE revocations (
    kind       TEXT COLLATE "C" NOT NULL CHECK (kind IN ('token', 'session', 'principal')),
    subject    BYTEA NOT NULL,
    epoch      BIGINT,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX revocations_expiry ON revocations (expires_at) WHERE expires_at IS NOT NULL;

-- The log of changes that gateways follow. Rows stay for a day, and the newest one always. `bits` tells a row from
-- another one that gets the same number in another history.
CREATE TABLE feed (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bits        BYTEA NOT NULL CHECK (length(bits) = 16),
    kind        TEXT NOT NULL,
    subject     BYTEA,
    epoch       BIGINT,
    expires_at  BIGINT,
    created_at  BIGINT,
    appended_at BIGINT NOT NULL
);

-- Gateways that follow the feed: when each wrote last, by the server's clock, and how far it had read then.
CREATE TABLE gateways (
    id      BYTEA PRIMARY KEY,
    name    TEXT NOT NULL,
    beat_at BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    -- Whether it goes on with checked traffic when it hears nothing (`store.stale = "serve"`).
    serves  BOOLEAN NOT NULL,
    -- The server's civil time less its own.
    offset_millis BIGINT
);

-- Refresh tokens that were given out or exchanged at the OAuth token endpoint. Only their SHA-256 is kept. A spent one
-- holds its successor, sealed under a key that is made of the spent token itself. `generation` counts exchanges from the
-- session's first refresh token on; `ends_at` is that one's end, `key` the one that sealed it.
CREATE TABLE refresh_tokens (
    hash       BYTEA PRIMARY KEY,
    rowid      BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    session    BYTEA NOT NULL,
    client     BYTEA NOT NULL,
    scope      TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    spent_at   BIGINT,
    successor  BYTEA
);
-- A session has one line of descent: one token of each generation.
CREATE UNIQUE INDEX refresh_tokens_line ON refresh_tokens (session, generation);
CREATE INDEX refresh_tokens_end ON refresh_tokens (ends_at);
-- The lines that a client holds: they end with it.
CREATE INDEX refresh_tokens_client ON refresh_tokens (client, session);

-- OAuth clients that were ended and hold lines of refresh tokens still, whose sessions are revoked in pieces.
CREATE TABLE ending_lines (
    client BYTEA PRIMARY KEY,
    -- The last session that was revoked; they go in the order of their ids.
    ended  BYTEA NOT NULL,
    -- The last row of `refresh_tokens` then: lines that the client begins later are none of those.
    last   BIGINT NOT NULL
);

-- What the gateways of this store know of the civil clock. One row; none before the first start.
CREATE TABLE clock (
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    -- The latest civil time seen while the civil and the monotonic clock ran in step.
    reference      BIGINT NOT NULL,
    -- Milliseconds by which `reference` may be ahead of the true time: times that no process witnessed.
    lag            BIGINT NOT NULL CHECK (lag >= 0),
    -- Suspensions are numbered. The last one, and the last one that has ended: by 24 hours in step, or confirmed.
    episode        BIGINT NOT NULL DEFAULT 0,
    settled        BIGINT NOT NULL DEFAULT 0,
    -- Of the last suspension: why, since when, and how many milliseconds the clocks have run in step since.
    doubt          TEXT,
    since          BIGINT,
    run            BIGINT NOT NULL DEFAULT 0,
    -- Civil times seen during it: the last one, and the latest one. They never become the reference.
    apart          BIGINT,
    apart_latest   BIGINT,
    -- When an operator confirmed the civil clock, the last time.
    confirmed_at   BIGINT,
    -- What ended before this may have been dropped, with its revocations: until that confirmation, and since.
    confirmed_pruned_before BIGINT,
    pruned_before  BIGINT
);
