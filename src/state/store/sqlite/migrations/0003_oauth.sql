-- The grants that a client of OAuth may use, separated by spaces; NULL for all of them.
ALTER TABLE principals ADD COLUMN grants TEXT;

-- Refresh tokens that were given out or exchanged at the OAuth token endpoint. Only their SHA-256 is
-- kept. A spent one holds its successor, sealed under a key that is made of the spent token itself.
-- `generation` counts exchanges from the session's first refresh token on; `ends_at` is that one's end, `key` the one that sealed it.
CREATE TABLE refresh_tokens (
    hash       BLOB PRIMARY KEY,
    session    BLOB NOT NULL,
    client     BLOB NOT NULL,
    scope      TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    key        TEXT NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    spent_at   INTEGER,
    successor  BLOB
) STRICT;

-- A session has one line of descent: one token of each generation.
CREATE UNIQUE INDEX refresh_tokens_line ON refresh_tokens (session, generation);
CREATE INDEX refresh_tokens_end ON refresh_tokens (ends_at);
