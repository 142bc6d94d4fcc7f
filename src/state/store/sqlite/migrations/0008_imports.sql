-- Accounts that came from other systems. A process of the version before this one may read the store meanwhile: the
-- columns that it knows stay as they are. A hash that it does not know matches no password there.

-- Which import brought an account. One that was made here has no row.
CREATE TABLE account_sources (
    account BLOB PRIMARY KEY,
    source  TEXT NOT NULL,
    -- Tells the old system's hash from another one, under a key: it says whether that changed since, and nothing more.
    mark    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER account_sources_forgotten AFTER DELETE ON principals BEGIN
    DELETE FROM account_sources WHERE account = OLD.id;
END;

-- Those whose hash is not Portero's own, counted by the word that names it.
CREATE INDEX principals_foreign_hashes ON principals (realm, substr(password_hash, 2, instr(substr(password_hash, 2), '$') - 1))
    WHERE substr(password_hash, 1, 10) <> '$argon2id$';
-- Those whose hash is sealed and waits to be wrapped.
CREATE INDEX principals_sealed ON principals (id) WHERE substr(password_hash, 1, 8) = '$sealed:';

-- How far imports are: one of a realm and a kind at a time.
CREATE TABLE imports (
    realm       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    -- Who works on it: whoever finds another mark here ends.
    mark        BLOB NOT NULL,
    -- SHA-256 of the file up to the row that was imported last, and its bytes and rows.
    sha256      BLOB NOT NULL,
    bytes       INTEGER NOT NULL,
    records     INTEGER NOT NULL,
    made        INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    unchanged   INTEGER NOT NULL,
    skipped     INTEGER NOT NULL,
    bad         INTEGER NOT NULL,
    begun_at    INTEGER NOT NULL,
    -- When the file's end was reached.
    finished_at INTEGER,
    PRIMARY KEY (realm, kind)
) STRICT;

-- The key of sealed hashes goes along with the master key: whoever changes that seals this one too.
CREATE TRIGGER password_key_follows BEFORE UPDATE ON meta WHEN NEW.name = 'master_key_fingerprint'
    AND EXISTS (SELECT 1 FROM meta WHERE name = 'password_key_master' AND value <> NEW.value)
BEGIN
    SELECT RAISE(ABORT, 'sealed passwords would be lost: use the newer release of portero for this');
END;
