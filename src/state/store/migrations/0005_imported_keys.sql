-- Whether tokens of accounts that the store does not have are taken under an imported key. Those that are here
-- already took them: they go on, and say so.
ALTER TABLE keys ADD COLUMN unknown_accounts INTEGER NOT NULL DEFAULT 0 CHECK (unknown_accounts IN (0, 1));
UPDATE keys SET unknown_accounts = 1 WHERE imported = 1;

-- The epochs that accounts had when a key was imported, where they were not 0: tokens of old carry none and take
-- these. 20 bytes an account: what it is known by, and the epoch, big-endian.
CREATE TABLE key_epochs (
    key    TEXT PRIMARY KEY,
    epochs BLOB NOT NULL
) STRICT;
CREATE TRIGGER keys_forgotten AFTER DELETE ON keys BEGIN
    DELETE FROM key_epochs WHERE key = OLD.id;
END;

-- Accounts are numbered in the order in which they come, so that a gateway reads only those it has not seen. A number is
-- never used again.
ALTER TABLE principals ADD COLUMN seq INTEGER;
UPDATE principals SET seq = rowid;
CREATE UNIQUE INDEX principals_seq ON principals (seq);
INSERT INTO meta (name, value)
SELECT 'accounts_seq', CAST(CAST(coalesce(max(seq), 0) AS TEXT) AS BLOB) FROM principals;
CREATE TRIGGER principals_numbered AFTER INSERT ON principals BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'accounts_seq';
    UPDATE principals SET seq = (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM meta WHERE name = 'accounts_seq')
    WHERE id = NEW.id;
END;
