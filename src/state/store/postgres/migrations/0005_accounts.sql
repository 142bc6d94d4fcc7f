-- New tables beside `principals`, whose columns stay as they are: gateways of the first schema go on. `oldest_schema` stays 1.

-- What is known of an account's secret beside its hash. A gateway of the release before replaces hashes and does not know
-- of this table: a row counts only while `hash` is the one that the account has.
CREATE TABLE account_secrets (
    account          BYTEA PRIMARY KEY,
    hash             TEXT COLLATE "C" NOT NULL,
    -- Whether Portero made the secret.
    made             BOOLEAN NOT NULL,
    -- The secret before it, and until when that one is taken too.
    previous_hash    TEXT COLLATE "C",
    previous_made    BOOLEAN NOT NULL DEFAULT FALSE,
    previous_ends_at BIGINT,
    CHECK ((previous_hash IS NULL) = (previous_ends_at IS NULL))
);
CREATE INDEX account_secrets_end ON account_secrets (previous_ends_at) WHERE previous_ends_at IS NOT NULL;

-- Logins of accounts, written down about once a minute. `failed_logins` counts since the last one that succeeded.
CREATE TABLE account_logins (
    account       BYTEA PRIMARY KEY,
    last_login_at BIGINT,
    failed_logins BIGINT NOT NULL DEFAULT 0
);

CREATE FUNCTION account_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM account_secrets WHERE account = OLD.id;
    DELETE FROM account_logins WHERE account = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER account_forgotten AFTER DELETE ON principals FOR EACH ROW EXECUTE FUNCTION account_forgotten();
