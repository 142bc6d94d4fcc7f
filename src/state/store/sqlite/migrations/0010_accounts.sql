-- What is known of an account's secret beside its hash. A process of the version before this one replaces hashes and does
-- not know of this table: a row counts only while `hash` is the one that the account has.
CREATE TABLE account_secrets (
    account          BLOB PRIMARY KEY,
    hash             TEXT NOT NULL,
    -- Whether Portero made the secret.
    made             INTEGER NOT NULL CHECK (made IN (0, 1)),
    -- The secret before it, and until when that one is taken too.
    previous_hash    TEXT,
    previous_made    INTEGER NOT NULL DEFAULT 0 CHECK (previous_made IN (0, 1)),
    previous_ends_at INTEGER,
    CHECK ((previous_hash IS NULL) = (previous_ends_at IS NULL))
) STRICT;
CREATE INDEX account_secrets_end ON account_secrets (previous_ends_at) WHERE previous_ends_at IS NOT NULL;

-- Logins of accounts, written down about once a minute. `failed_logins` counts since the last one that succeeded.
CREATE TABLE account_logins (
    account       BLOB PRIMARY KEY,
    last_login_at INTEGER,
    failed_logins INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER account_forgotten AFTER DELETE ON principals BEGIN
    DELETE FROM account_secrets WHERE account = OLD.id;
    DELETE FROM account_logins WHERE account = OLD.id;
END;
