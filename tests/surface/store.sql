CREATE INDEX account_secrets_end ON account_secrets (previous_ends_at) WHERE previous_ends_at IS NOT NULL
CREATE INDEX audit_subject ON audit (subject, number) WHERE subject IS NOT NULL
CREATE UNIQUE INDEX keys_active ON keys (realm) WHERE state = 'active'
CREATE UNIQUE INDEX keys_next ON keys (realm) WHERE state = 'next'
CREATE INDEX known_addresses_seen ON known_addresses (seen_at)
CREATE INDEX old_tokens_account ON old_tokens (account)
CREATE INDEX old_tokens_end ON old_tokens (expires_at) WHERE expires_at IS NOT NULL
CREATE INDEX principals_foreign_hashes ON principals (realm, substr(password_hash, 2, instr(substr(password_hash, 2), '$') - 1))
    WHERE substr(password_hash, 1, 10) <> '$argon2id$'
CREATE UNIQUE INDEX principals_legacy_id ON principals (realm, legacy_id) WHERE legacy_id IS NOT NULL
CREATE INDEX principals_sealed ON principals (id) WHERE substr(password_hash, 1, 8) = '$sealed:'
CREATE INDEX refresh_tokens_client ON refresh_tokens (client, session)
CREATE INDEX refresh_tokens_end ON refresh_tokens (ends_at)
CREATE UNIQUE INDEX refresh_tokens_line ON refresh_tokens (session, generation)
CREATE INDEX revocations_expiry ON revocations (expires_at) WHERE expires_at IS NOT NULL
CREATE INDEX sessions_endless ON sessions (principal) WHERE expires_at IS NULL
CREATE INDEX sessions_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL
CREATE INDEX sessions_principal ON sessions (principal, created_at)
CREATE INDEX throttles_end ON throttles (ends_at)
CREATE INDEX throttles_written ON throttles (written_at)
CREATE INDEX trusted_logins_pending ON trusted_logins (account) WHERE state = 'pending'
CREATE TABLE account_logins (
    account       BLOB PRIMARY KEY,
    last_login_at INTEGER,
    failed_logins INTEGER NOT NULL DEFAULT 0
) STRICT
CREATE TABLE account_numbers (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB NOT NULL UNIQUE
) STRICT
CREATE TABLE account_secrets (
    account          BLOB PRIMARY KEY,
    hash             TEXT NOT NULL,
    made             INTEGER NOT NULL CHECK (made IN (0, 1)),
    previous_hash    TEXT,
    previous_made    INTEGER NOT NULL DEFAULT 0 CHECK (previous_made IN (0, 1)),
    previous_ends_at INTEGER,
    CHECK ((previous_hash IS NULL) = (previous_ends_at IS NULL))
) STRICT
CREATE TABLE account_sources (
    account BLOB PRIMARY KEY,
    source  TEXT NOT NULL,
    mark    BLOB NOT NULL
) STRICT, WITHOUT ROWID
CREATE TABLE admin_tokens (
    name       TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE,
    role       TEXT NOT NULL CHECK (role IN ('read', 'operate', 'admin')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT
CREATE TABLE audit (
    number     INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor      TEXT NOT NULL,
    origin     TEXT NOT NULL,
    request    TEXT,
    action     TEXT NOT NULL,
    kind       TEXT,
    realm      TEXT,
    subject    TEXT,
    old_value  TEXT,
    new_value  TEXT,
    chain_key  TEXT NOT NULL,
    mac        BLOB NOT NULL
) STRICT
CREATE TABLE audit_anchors (
    chain     BLOB PRIMARY KEY,
    gateway   TEXT NOT NULL,
    file      TEXT NOT NULL,
    line      INTEGER NOT NULL,
    mac       BLOB NOT NULL,
    events    INTEGER NOT NULL,
    ended     INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1)),
    at        INTEGER NOT NULL,
    chain_key TEXT NOT NULL,
    code      BLOB NOT NULL
) STRICT
CREATE TABLE audit_keys (
    id     TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT
CREATE TABLE clock (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    reference      INTEGER NOT NULL,
    lag            INTEGER NOT NULL CHECK (lag >= 0),
    episode        INTEGER NOT NULL DEFAULT 0,
    settled        INTEGER NOT NULL DEFAULT 0,
    doubt          TEXT,
    since          INTEGER,
    run            INTEGER NOT NULL DEFAULT 0,
    apart          INTEGER,
    apart_latest   INTEGER,
    confirmed_at   INTEGER,
    confirmed_pruned_before INTEGER,
    pruned_before  INTEGER
) STRICT
CREATE TABLE companies (
    realm      TEXT NOT NULL,
    name       TEXT NOT NULL,
    disabled   INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (realm, name)
) STRICT
CREATE TABLE deletions (
    principal BLOB PRIMARY KEY
) STRICT
CREATE TABLE ending_lines (
    client BLOB PRIMARY KEY,
    ended  BLOB NOT NULL,
    last   INTEGER NOT NULL
) STRICT
CREATE TABLE imported_keys (
    key              TEXT PRIMARY KEY,
    unknown_accounts INTEGER NOT NULL CHECK (unknown_accounts IN (0, 1)),
    epochs           BLOB NOT NULL
) STRICT
CREATE TABLE imports (
    realm       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    mark        BLOB NOT NULL,
    sha256      BLOB NOT NULL,
    bytes       INTEGER NOT NULL,
    records     INTEGER NOT NULL,
    made        INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    unchanged   INTEGER NOT NULL,
    skipped     INTEGER NOT NULL,
    bad         INTEGER NOT NULL,
    begun_at    INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (realm, kind)
) STRICT
CREATE TABLE "keys" (
    id             TEXT PRIMARY KEY,
    realm          TEXT NOT NULL,
    algorithm      TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'retired', 'revoked')),
    form           TEXT NOT NULL DEFAULT 'secret' CHECK (form IN ('secret', 'public')),
    sealed         BLOB,
    profile        TEXT,
    imported       INTEGER NOT NULL DEFAULT 0 CHECK (imported IN (0, 1)),
    pinned         INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    asked          INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1)),
    created_at     INTEGER NOT NULL,
    activated_at   INTEGER,
    retiring_since INTEGER,
    retires_at     INTEGER,
    ended_at       INTEGER,
    CHECK (sealed IS NOT NULL OR state IN ('retired', 'revoked')),
    CHECK ((state IN ('retired', 'revoked')) = (ended_at IS NOT NULL))
) STRICT
CREATE TABLE known_addresses (
    name    BLOB NOT NULL,
    address BLOB NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (name, address)
) STRICT, WITHOUT ROWID
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT
CREATE TABLE migration_counts (
    day   INTEGER NOT NULL,
    kind  TEXT NOT NULL,
    what  TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (day, kind, what)
) STRICT, WITHOUT ROWID
CREATE TABLE migration_steps (
    realm         TEXT PRIMARY KEY,
    portero       INTEGER NOT NULL CHECK (portero IN (0, 1)),
    since         INTEGER NOT NULL,
    accepted_loss INTEGER NOT NULL
) STRICT
CREATE TABLE old_tokens (
    realm      TEXT NOT NULL,
    hash       BLOB NOT NULL,
    account    BLOB NOT NULL,
    epoch      INTEGER NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (realm, hash)
) STRICT, WITHOUT ROWID
CREATE TABLE principals (
    id            BLOB PRIMARY KEY,
    realm         TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('user', 'client', 'project')),
    business      TEXT NOT NULL DEFAULT '',
    name          TEXT NOT NULL,
    display_name  TEXT,
    legacy_id     INTEGER,
    role          TEXT,
    scopes        TEXT NOT NULL DEFAULT '',
    company       TEXT,
    password_hash TEXT NOT NULL,
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    locked        INTEGER NOT NULL DEFAULT 0 CHECK (locked IN (0, 1)),
    epoch         INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL, grants TEXT,
    UNIQUE (realm, business, name)
) STRICT
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
) STRICT
CREATE TABLE revocations (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL CHECK (kind IN ('token', 'session', 'principal')),
    subject    BLOB NOT NULL,
    epoch      INTEGER,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (kind, subject)
) STRICT
CREATE TABLE sessions (
    id         BLOB PRIMARY KEY,
    realm      TEXT NOT NULL,
    principal  BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
, epoch INTEGER) STRICT
CREATE TABLE sqlite_sequence(name,seq)
CREATE TABLE takeovers (
    account      BLOB PRIMARY KEY,
    verifier     TEXT NOT NULL,
    hash         BLOB,
    confirmed_at INTEGER,
    refused_at   INTEGER
) STRICT
CREATE TABLE throttles (
    origin     BLOB NOT NULL,
    kind       TEXT NOT NULL,
    slot       INTEGER NOT NULL,
    subject    BLOB NOT NULL,
    failures   INTEGER NOT NULL,
    passes     INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    cleared_at INTEGER,
    ends_at    INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (origin, kind, slot)
) STRICT, WITHOUT ROWID
CREATE TABLE trusted_logins (
    session    BLOB PRIMARY KEY,
    account    BLOB NOT NULL,
    realm      TEXT NOT NULL,
    verifier   TEXT NOT NULL,
    hash       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'refused', 'expired')),
    settled_at INTEGER
) STRICT
CREATE TABLE wiped_keys (
    key        TEXT PRIMARY KEY,
    thumbprint BLOB
) STRICT
CREATE TRIGGER account_forgotten AFTER DELETE ON principals BEGIN
    DELETE FROM account_secrets WHERE account = OLD.id;
    DELETE FROM account_logins WHERE account = OLD.id;
END
CREATE TRIGGER account_sources_forgotten AFTER DELETE ON principals BEGIN
    DELETE FROM account_sources WHERE account = OLD.id;
END
CREATE TRIGGER accounts_deleted AFTER DELETE ON principals BEGIN
    DELETE FROM account_numbers WHERE account = OLD.id;
END
CREATE TRIGGER accounts_numbered AFTER INSERT ON principals BEGIN
    INSERT INTO account_numbers (account) VALUES (NEW.id);
END
CREATE TRIGGER imported_keys_forgotten AFTER DELETE ON keys BEGIN
    DELETE FROM imported_keys WHERE key = OLD.id;
END
CREATE TRIGGER imported_keys_updated AFTER UPDATE ON imported_keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END
CREATE TRIGGER keys_deleted AFTER DELETE ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END
CREATE TRIGGER keys_inserted AFTER INSERT ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END
CREATE TRIGGER keys_updated AFTER UPDATE ON keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END
CREATE TRIGGER password_key_follows BEFORE UPDATE ON meta WHEN NEW.name = 'master_key_fingerprint'
    AND EXISTS (SELECT 1 FROM meta WHERE name = 'password_key_master' AND value <> NEW.value)
BEGIN
    SELECT RAISE(ABORT, 'sealed passwords would be lost: use the newer release of portero for this');
END
CREATE TRIGGER takeover_forgotten AFTER DELETE ON principals BEGIN
    DELETE FROM takeovers WHERE account = OLD.id;
    DELETE FROM old_tokens WHERE account = OLD.id;
END
CREATE TRIGGER wiped_keys_forgotten AFTER DELETE ON keys BEGIN
    DELETE FROM wiped_keys WHERE key = OLD.id;
END
CREATE VIEW known_keys AS
SELECT id, realm, algorithm, state, form, sealed, profile, imported, pinned, asked, created_at, activated_at,
       retiring_since, retires_at, ended_at,
       sealed IS NULL OR wiped_keys.key IS NOT NULL AS wiped, thumbprint,
       coalesce(unknown_accounts, 0) AS unknown_accounts
FROM keys
LEFT JOIN wiped_keys ON wiped_keys.key = keys.id
LEFT JOIN imported_keys ON imported_keys.key = keys.id
