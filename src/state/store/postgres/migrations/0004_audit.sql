-- Administrative changes, each written in the transaction of its change. The numbers have no gaps.
CREATE TABLE audit (
    number     BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor      TEXT NOT NULL,
    -- An address, a terminal, or what made a gateway act.
    origin     TEXT NOT NULL,
    request    TEXT,
    action     TEXT NOT NULL,
    -- What kind of thing the subject is.
    kind       TEXT,
    realm      TEXT,
    subject    TEXT,
    -- JSON; never a secret.
    old_value  TEXT,
    new_value  TEXT,
    -- Which master key the code's key is derived from.
    chain_key  TEXT NOT NULL,
    -- HMAC-SHA-256 over the row and the code of the row before it.
    mac        BYTEA NOT NULL
);

CREATE INDEX audit_subject ON audit (subject, number) WHERE subject IS NOT NULL;

-- How far each chain had come: that of `audit`, under the id of 16 zero bytes, and those of gateways' files.
CREATE TABLE audit_anchors (
    chain     BYTEA PRIMARY KEY,
    gateway   TEXT NOT NULL,
    file      TEXT NOT NULL,
    line      BIGINT NOT NULL,
    mac       BYTEA NOT NULL,
    events    BIGINT NOT NULL,
    ended     BOOLEAN NOT NULL DEFAULT FALSE,
    at        BIGINT NOT NULL,
    chain_key TEXT NOT NULL,
    -- HMAC-SHA-256 over the anchor itself.
    code      BYTEA NOT NULL
);

-- The keys of codes that earlier master keys gave, sealed under the present one.
CREATE TABLE audit_keys (
    id     TEXT COLLATE "C" PRIMARY KEY,
    sealed BYTEA NOT NULL
);

-- Who may use the admin API, beside the token in the file.
CREATE TABLE admin_tokens (
    name       TEXT COLLATE "C" PRIMARY KEY,
    -- SHA-256 of the token.
    hash       BYTEA NOT NULL UNIQUE,
    role       TEXT NOT NULL CHECK (role IN ('read', 'operate', 'admin')),
    created_at BIGINT NOT NULL,
    -- NULL for never.
    expires_at BIGINT,
    revoked_at BIGINT
);
