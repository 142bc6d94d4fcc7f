-- Failed logins, as each process has counted them. Names and addresses are keyed hashes. What restrains is the sum of
-- all shares of a subject whose windows have not ended. Times are the server's.
--
-- A gateway of schema 1 has no use for these tables, and runs on beside them.
CREATE TABLE throttles (
    -- The process, by 16 random bytes that are new at each start. It alone changes its rows.
    origin     BYTEA NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    -- Its row for this subject. It takes the place of an earlier one that does not count any more.
    slot       BIGINT NOT NULL,
    subject    BYTEA NOT NULL,
    failures   BIGINT NOT NULL,
    -- Attempts that were let pass although the subject was restrained.
    passes     BIGINT NOT NULL,
    -- The first failure of the window.
    started_at BIGINT NOT NULL,
    -- Every share of the subject that began before this is void.
    cleared_at BIGINT,
    ends_at    BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (origin, kind, slot)
);
CREATE INDEX throttles_written ON throttles (written_at);
CREATE INDEX throttles_end ON throttles (ends_at);

-- Addresses from which an account's owner has logged in, both as keyed hashes.
CREATE TABLE known_addresses (
    name    BYTEA NOT NULL,
    address BYTEA NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (name, address)
);
CREATE INDEX known_addresses_seen ON known_addresses (seen_at);
