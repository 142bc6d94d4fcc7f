-- Keys get a whole life: next, active, retiring, retired or revoked; and may be imported.
CREATE TABLE keys_of_now (
    id             TEXT PRIMARY KEY,
    realm          TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired', 'revoked')),
    -- A secret or a key pair; or a public key alone, which verifies and does not sign.
    form           TEXT NOT NULL DEFAULT 'secret' CHECK (form IN ('secret', 'public')),
    -- Under the master key; wiped when the key retires.
    sealed         BLOB,
    -- How its tokens are read, as JSON; NULL for Portero's own claims.
    profile        TEXT,
    imported       INTEGER NOT NULL DEFAULT 0 CHECK (imported IN (0, 1)),
    -- The schedule leaves it where it is: services behind verify its tokens themselves.
    pinned         INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    -- A next key that an administrator asked for: it signs as soon as it was published long enough.
    asked          INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1)),
    created_at     INTEGER NOT NULL,
    activated_at   INTEGER,
    retiring_since INTEGER,
    -- When its last token has ended; NULL: never by itself.
    retires_at     INTEGER,
    -- When it was retired or revoked.
    ended_at       INTEGER,
    CHECK ((state = 'retired') = (sealed IS NULL)),
    CHECK ((state IN ('retired', 'revoked')) = (ended_at IS NOT NULL))
) STRICT;

-- A key that stopped signing before this version stopped by now at the latest: its last token ends within
-- the longest life that was noted for its realm. Nothing noted, or tokens for ever: never by itself.
INSERT INTO keys_of_now (id, realm, algorithm, state, sealed, created_at, activated_at, retiring_since, retires_at, ended_at)
SELECT id, realm, algorithm, state, sealed, created_at,
       CASE WHEN state = 'active' THEN created_at END,
       CASE WHEN state = 'retiring' THEN unixepoch() * 1000 END,
       CASE WHEN state = 'retiring' THEN (
           SELECT (unixepoch() + CAST(CAST(value AS TEXT) AS INTEGER) + 7200) * 1000
           FROM meta WHERE name = 'longest_lifetime/' || keys.realm AND CAST(value AS TEXT) GLOB '[0-9]*'
       ) END,
       CASE WHEN state = 'revoked' THEN unixepoch() * 1000 END
FROM keys;

-- Its triggers and its index go with it.
DROP TABLE keys;
ALTER TABLE keys_of_now RENAME TO keys;

-- One key signs for a realm, and one is next: two processes that rotate together make one.
CREATE UNIQUE INDEX keys_active ON keys (realm) WHERE state = 'active';
CREATE UNIQUE INDEX keys_next ON keys (realm) WHERE state = 'next';

-- Every change of a key raises the revision, so that a gateway sees it in one row.
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;
CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;
