-- What the gateways of this store know of the civil clock. One row; none before the first start of this version.
CREATE TABLE clock (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    -- The latest civil time seen while the civil and the monotonic clock ran in step.
    reference      INTEGER NOT NULL,
    -- Milliseconds by which `reference` may be ahead of the true time: times that no process witnessed.
    lag            INTEGER NOT NULL CHECK (lag >= 0),
    -- Suspensions are numbered. The last one, and the last one that has ended: by 24 hours in step, or confirmed.
    episode        INTEGER NOT NULL DEFAULT 0,
    settled        INTEGER NOT NULL DEFAULT 0,
    -- Of the last suspension: why, since when, and how many milliseconds the clocks have run in step since.
    doubt          TEXT,
    since          INTEGER,
    run            INTEGER NOT NULL DEFAULT 0,
    -- Civil times seen during it: the last one, and the latest one. They never become the reference.
    apart          INTEGER,
    apart_latest   INTEGER,
    -- When an operator confirmed the civil clock, the last time.
    confirmed_at   INTEGER,
    -- What ended before this may have been dropped, with its revocations: until that confirmation, and since.
    confirmed_pruned_before INTEGER,
    pruned_before  INTEGER
) STRICT;

-- A store of an earlier version has seen the time in everything that it recorded.
INSERT INTO clock (id, reference, lag)
SELECT 1, seen, 0 FROM (
    SELECT max(at) AS seen FROM (
        SELECT max(created_at) AS at FROM revocations
        UNION ALL SELECT max(created_at) FROM sessions
        UNION ALL SELECT max(created_at) FROM principals
        UNION ALL SELECT max(max(created_at), coalesce(max(ended_at), 0)) FROM keys
    )
) WHERE seen IS NOT NULL;

-- A key that retired by schedule keeps its sealed material for a while; a revoked one loses it at once. A process of
-- the version before this one may read the store meanwhile: the columns of its tables stay as they are.
CREATE TABLE keys_of_now (
    id             TEXT PRIMARY KEY,
    realm          TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired', 'revoked')),
    -- A secret or a key pair; or a public key alone, which verifies and does not sign.
    form           TEXT NOT NULL DEFAULT 'secret' CHECK (form IN ('secret', 'public')),
    -- Under the master key. NULL when it is wiped; or, of a revoked key, material that was never used: the version
    -- before this one opens the rows of revoked keys too.
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
    CHECK (sealed IS NOT NULL OR state IN ('retired', 'revoked')),
    CHECK ((state IN ('retired', 'revoked')) = (ended_at IS NOT NULL))
) STRICT;

INSERT INTO keys_of_now (id, realm, algorithm, state, form, sealed, profile, imported, pinned, asked, created_at,
                         activated_at, retiring_since, retires_at, ended_at)
SELECT id, realm, algorithm, state, form, sealed, profile, imported, pinned, asked, created_at,
       activated_at, retiring_since, retires_at, ended_at
FROM keys;

-- Its triggers and its indexes go with it.
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

-- Keys whose material was wiped, and what tells that from any other, under the master key: it is never imported again
-- when the key is revoked. NULL where the material did not open.
CREATE TABLE wiped_keys (
    key        TEXT PRIMARY KEY,
    thumbprint BLOB
) STRICT;
CREATE TRIGGER wiped_keys_forgotten AFTER DELETE ON keys BEGIN
    DELETE FROM wiped_keys WHERE key = OLD.id;
END;

-- The lines of refresh tokens that a client holds: they end with it.
CREATE INDEX refresh_tokens_client ON refresh_tokens (client, session);
