-- Failed logins, as each process has counted them. Names and addresses are keyed hashes. What restrains is the sum of
-- all shares of a subject whose windows have not ended.
CREATE TABLE throttles (
    -- The process, by 16 random bytes that are new at each start. It alone changes its rows.
    origin     BLOB NOT NULL,
    kind       TEXT NOT NULL,
    -- Its row for this subject. It takes the place of an earlier one that does not count any more.
    slot       INTEGER NOT NULL,
    subject    BLOB NOT NULL,
    failures   INTEGER NOT NULL,
    -- Attempts that were let pass although the subject was restrained.
    passes     INTEGER NOT NULL,
    -- The first failure of the window.
    started_at INTEGER NOT NULL,
    -- Every share of the subject that began before this is void.
    cleared_at INTEGER,
    ends_at    INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (origin, kind, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX throttles_written ON throttles (written_at);
CREATE INDEX throttles_end ON throttles (ends_at);

-- Addresses from which an account's owner has logged in, both as keyed hashes.
CREATE TABLE known_addresses (
    name    BLOB NOT NULL,
    address BLOB NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (name, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_addresses_seen ON known_addresses (seen_at);
