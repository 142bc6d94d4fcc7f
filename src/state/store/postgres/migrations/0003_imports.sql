-- Accounts that came from other systems. Gateways of schema 1 go on beside this one: the columns that they know stay as
-- they are. A hash that they do not know matches no password there.

-- Which import brought an account. One that was made here has no row.
CREATE TABLE account_sources (
    account BYTEA PRIMARY KEY,
    source  TEXT COLLATE "C" NOT NULL,
    -- Tells the old system's hash from another one, under a key: it says whether that changed since, and nothing more.
    mark    BYTEA NOT NULL
);
CREATE FUNCTION account_source_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM account_sources WHERE account = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER account_sources_forgotten AFTER DELETE ON principals
    FOR EACH ROW EXECUTE FUNCTION account_source_forgotten();

-- Those whose hash is not Portero's own, counted by the word that names it.
CREATE INDEX principals_foreign_hashes ON principals (realm, split_part(password_hash, '$', 2))
    WHERE substr(password_hash, 1, 10) <> '$argon2id$';
-- Those whose hash is sealed and waits to be wrapped.
CREATE INDEX principals_sealed ON principals (id) WHERE substr(password_hash, 1, 8) = '$sealed:';

-- How far imports are: one of a realm and a kind at a time.
CREATE TABLE imports (
    realm       TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    -- Who works on it: whoever finds another mark here ends.
    mark        BYTEA NOT NULL,
    -- SHA-256 of the file up to the row that was imported last, and its bytes and rows.
    sha256      BYTEA NOT NULL,
    bytes       BIGINT NOT NULL,
    records     BIGINT NOT NULL,
    made        BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    unchanged   BIGINT NOT NULL,
    skipped     BIGINT NOT NULL,
    bad         BIGINT NOT NULL,
    begun_at    BIGINT NOT NULL,
    -- When the file's end was reached.
    finished_at BIGINT,
    PRIMARY KEY (realm, kind)
);

-- The key of sealed hashes goes along with the master key: whoever changes that seals this one too. A reseal of the
-- release before this one does not know it.
CREATE FUNCTION password_key_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM meta WHERE name = 'password_key_master' AND value <> NEW.value) THEN
        RAISE EXCEPTION 'sealed passwords would be lost: use the newer release of portero for this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER password_key_follows BEFORE UPDATE ON meta FOR EACH ROW
    WHEN (NEW.name = 'master_key_fingerprint') EXECUTE FUNCTION password_key_follows();
