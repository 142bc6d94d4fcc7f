-- The principal's epoch at the login: a session below the present one has ended. NULL for logins before this version.
ALTER TABLE sessions ADD COLUMN epoch INTEGER;

-- Sessions without expiry are counted at each such login: a principal has only so many.
CREATE INDEX sessions_endless ON sessions (principal) WHERE expires_at IS NULL;

-- Principals that were deleted and have sessions still, which are cleared away in pieces.
CREATE TABLE deletions (
    principal BLOB PRIMARY KEY
) STRICT;

-- OAuth clients that were ended and hold lines of refresh tokens still, whose sessions are revoked in pieces.
CREATE TABLE ending_lines (
    client BLOB PRIMARY KEY,
    -- The last session that was revoked; they go in the order of their ids.
    ended  BLOB NOT NULL,
    -- The last row of `refresh_tokens` then: lines that the client begins later are none of those.
    last   INTEGER NOT NULL
) STRICT;
