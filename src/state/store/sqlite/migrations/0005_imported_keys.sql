-- What is known of keys from outside. A process of the version before this one may read the store meanwhile: the columns
-- of its tables stay as they are.
CREATE TABLE imported_keys (
    key              TEXT PRIMARY KEY,
    -- Whether tokens of accounts that the store does not have are taken.
    unknown_accounts INTEGER NOT NULL CHECK (unknown_accounts IN (0, 1)),
    -- The epochs that accounts had when the key was imported, where they were not 0: tokens of old carry none and take
    -- these. 20 bytes an account: what it is known by, and the epoch, big-endian.
    epochs           BLOB NOT NULL
) STRICT;
CREATE TRIGGER imported_keys_updated AFTER UPDATE ON imported_keys BEGIN
    UPDATE meta SET value = CAST(CAST(value AS TEXT) + 1 AS BLOB) WHERE name = 'keys_revision';
END;
CREATE TRIGGER imported_keys_forgotten AFTER DELETE ON keys BEGIN
    DELETE FROM imported_keys WHERE key = OLD.id;
END;

-- Those that are here already took tokens of any account: they go on, and say so.
INSERT INTO imported_keys (key, unknown_accounts, epochs) SELECT id, 1, x'' FROM keys WHERE imported = 1;

-- A key with what is known of it beside its row.
CREATE VIEW known_keys AS
SELECT id, realm, algorithm, state, form, sealed, profile, imported, pinned, asked, created_at, activated_at,
       retiring_since, retires_at, ended_at,
       sealed IS NULL OR wiped_keys.key IS NOT NULL AS wiped, thumbprint,
       coalesce(unknown_accounts, 0) AS unknown_accounts
FROM keys
LEFT JOIN wiped_keys ON wiped_keys.key = keys.id
LEFT JOIN imported_keys ON imported_keys.key = keys.id;

-- Accounts are numbered in the order in which they come, so that a gateway reads only those it has not seen. A number is
-- never used again.
CREATE TABLE account_numbers (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    account BLOB NOT NULL UNIQUE
) STRICT;
INSERT INTO account_numbers (seq, account) SELECT rowid, id FROM principals ORDER BY rowid;
CREATE TRIGGER accounts_numbered AFTER INSERT ON principals BEGIN
    INSERT INTO account_numbers (account) VALUES (NEW.id);
END;
CREATE TRIGGER accounts_deleted AFTER DELETE ON principals BEGIN
    DELETE FROM account_numbers WHERE account = OLD.id;
END;
