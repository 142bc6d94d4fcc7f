-- The principal's epoch at the login: a session below the present one has ended. NULL for logins before this version.
ALTER TABLE sessions ADD COLUMN epoch INTEGER;

-- Sessions without expiry are counted at each such login: a principal has only so many.
CREATE INDEX sessions_endless ON sessions (principal) WHERE expires_at IS NULL;

-- Principals that were deleted and have sessions still, which are cleared away in pieces.
CREATE TABLE deletions (
    principal BLOB PRIMARY KEY
) STRICT;
