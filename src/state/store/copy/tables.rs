//! What is copied: every table that both engines have, with the same columns.
//!
//! They stand in the order in which they are copied: what a trigger changes comes after what it watches. Accounts bring
//! numbers, keys take what is known of them along and raise the revision in `meta`; whatever a trigger made of these is
//! then put right by comparing.

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Its columns; first those of the key in whose order rows are compared.
    pub(super) columns: &'static [(&'static str, Kind)],
    /// How many columns the key has. No two rows have the same one.
    pub(super) key: usize,
    /// Which rows are copied, where not all are.
    pub(super) only: Option<&'static str>,
    /// The column that PostgreSQL counts up.
    pub(super) counted: Option<&'static str>,
}

/// What a column holds. Each may be NULL but a boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Integer,
    /// Sorted by its bytes, where it is part of a key.
    Text,
    Bytes,
    /// 0 or 1 on SQLite.
    Boolean,
}

use Kind::{Boolean, Bytes, Integer, Text};

/// The table of the gateways that follow a PostgreSQL store, which is not copied.
pub(super) const FOLLOWERS: &str = "gateways";

/// Tables of a PostgreSQL store that are not copied: the log of its own changes, and who follows that now.
#[cfg(test)]
const LEFT_OUT: [&str; 2] = ["feed", FOLLOWERS];

/// Columns of an SQLite store that are not copied: the order in which its own changes came.
#[cfg(test)]
const COLUMN_LEFT_OUT: (&str, &str) = ("revocations", "seq");

pub(super) const TABLES: [Table; 28] = [
    Table {
        name: "principals",
        columns: &[
            ("id", Bytes),
            ("realm", Text),
            ("kind", Text),
            ("business", Text),
            ("name", Text),
            ("display_name", Text),
            ("legacy_id", Integer),
            ("role", Text),
            ("scopes", Text),
            ("company", Text),
            ("password_hash", Text),
            ("disabled", Boolean),
            ("locked", Boolean),
            ("epoch", Integer),
            ("created_at", Integer),
            ("grants", Text),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "account_numbers",
        columns: &[("seq", Integer), ("account", Bytes)],
        key: 1,
        only: None,
        counted: Some("seq"),
    },
    Table {
        name: "account_secrets",
        columns: &[
            ("account", Bytes),
            ("hash", Text),
            ("made", Boolean),
            ("previous_hash", Text),
            ("previous_made", Boolean),
            ("previous_ends_at", Integer),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "account_logins",
        columns: &[("account", Bytes), ("last_login_at", Integer), ("failed_logins", Integer)],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "account_sources",
        columns: &[("account", Bytes), ("source", Text), ("mark", Bytes)],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "companies",
        columns: &[("realm", Text), ("name", Text), ("disabled", Boolean), ("created_at", Integer)],
        key: 2,
        only: None,
        counted: None,
    },
    Table {
        name: "keys",
        columns: &[
            ("id", Text),
            ("realm", Text),
            ("algorithm", Text),
            ("state", Text),
            ("form", Text),
            ("sealed", Bytes),
            ("profile", Text),
            ("imported", Boolean),
            ("pinned", Boolean),
            ("asked", Boolean),
            ("created_at", Integer),
            ("activated_at", Integer),
            ("retiring_since", Integer),
            ("retires_at", Integer),
            ("ended_at", Integer),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table { name: "wiped_keys", columns: &[("key", Text), ("thumbprint", Bytes)], key: 1, only: None, counted: None },
    Table {
        name: "imported_keys",
        columns: &[("key", Text), ("unknown_accounts", Boolean), ("epochs", Bytes)],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        // In the order in which they were written, which is that of their rows on the disk.
        name: "sessions",
        columns: &[
            ("rowid", Integer),
            ("id", Bytes),
            ("realm", Text),
            ("principal", Bytes),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("epoch", Integer),
        ],
        key: 1,
        only: None,
        counted: Some("rowid"),
    },
    Table { name: "deletions", columns: &[("principal", Bytes)], key: 1, only: None, counted: None },
    Table {
        name: "refresh_tokens",
        columns: &[
            ("rowid", Integer),
            ("hash", Bytes),
            ("session", Bytes),
            ("client", Bytes),
            ("scope", Text),
            ("epoch", Integer),
            ("key", Text),
            ("generation", Integer),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("ends_at", Integer),
            ("spent_at", Integer),
            ("successor", Bytes),
        ],
        key: 1,
        only: None,
        counted: Some("rowid"),
    },
    Table {
        name: "ending_lines",
        columns: &[("client", Bytes), ("ended", Bytes), ("last", Integer)],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "revocations",
        columns: &[
            ("kind", Text),
            ("subject", Bytes),
            ("epoch", Integer),
            ("expires_at", Integer),
            ("created_at", Integer),
        ],
        key: 2,
        only: None,
        counted: None,
    },
    Table {
        name: "imports",
        columns: &[
            ("realm", Text),
            ("kind", Text),
            ("mark", Bytes),
            ("sha256", Bytes),
            ("bytes", Integer),
            ("records", Integer),
            ("made", Integer),
            ("updated", Integer),
            ("unchanged", Integer),
            ("skipped", Integer),
            ("bad", Integer),
            ("begun_at", Integer),
            ("finished_at", Integer),
        ],
        key: 2,
        only: None,
        counted: None,
    },
    Table {
        name: "clock",
        columns: &[
            ("id", Integer),
            ("reference", Integer),
            ("lag", Integer),
            ("episode", Integer),
            ("settled", Integer),
            ("doubt", Text),
            ("since", Integer),
            ("run", Integer),
            ("apart", Integer),
            ("apart_latest", Integer),
            ("confirmed_at", Integer),
            ("confirmed_pruned_before", Integer),
            ("pruned_before", Integer),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "throttles",
        columns: &[
            ("origin", Bytes),
            ("kind", Text),
            ("slot", Integer),
            ("subject", Bytes),
            ("failures", Integer),
            ("passes", Integer),
            ("started_at", Integer),
            ("cleared_at", Integer),
            ("ends_at", Integer),
            ("written_at", Integer),
        ],
        key: 3,
        only: None,
        counted: None,
    },
    Table {
        name: "audit",
        columns: &[
            ("number", Integer),
            ("at", Integer),
            ("actor_kind", Text),
            ("actor", Text),
            ("origin", Text),
            ("request", Text),
            ("action", Text),
            ("kind", Text),
            ("realm", Text),
            ("subject", Text),
            ("old_value", Text),
            ("new_value", Text),
            ("chain_key", Text),
            ("mac", Bytes),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "known_addresses",
        columns: &[("name", Bytes), ("address", Bytes), ("seen_at", Integer)],
        key: 2,
        only: None,
        counted: None,
    },
    Table {
        name: "audit_anchors",
        columns: &[
            ("chain", Bytes),
            ("gateway", Text),
            ("file", Text),
            ("line", Integer),
            ("mac", Bytes),
            ("events", Integer),
            ("ended", Boolean),
            ("at", Integer),
            ("chain_key", Text),
            ("code", Bytes),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table { name: "audit_keys", columns: &[("id", Text), ("sealed", Bytes)], key: 1, only: None, counted: None },
    Table {
        name: "admin_tokens",
        columns: &[
            ("name", Text),
            ("hash", Bytes),
            ("role", Text),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("revoked_at", Integer),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "takeovers",
        columns: &[
            ("account", Bytes),
            ("verifier", Text),
            ("hash", Bytes),
            ("confirmed_at", Integer),
            ("refused_at", Integer),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "trusted_logins",
        columns: &[
            ("session", Bytes),
            ("account", Bytes),
            ("realm", Text),
            ("verifier", Text),
            ("hash", Bytes),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("state", Text),
            ("settled_at", Integer),
        ],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "old_tokens",
        columns: &[("realm", Text), ("hash", Bytes), ("account", Bytes), ("epoch", Integer), ("expires_at", Integer)],
        key: 2,
        only: None,
        counted: None,
    },
    Table {
        name: "migration_counts",
        columns: &[("day", Integer), ("kind", Text), ("what", Text), ("total", Integer)],
        key: 3,
        only: None,
        counted: None,
    },
    Table {
        name: "migration_steps",
        columns: &[("realm", Text), ("portero", Boolean), ("since", Integer), ("accepted_loss", Integer)],
        key: 1,
        only: None,
        counted: None,
    },
    Table {
        name: "meta",
        columns: &[("name", Text), ("value", Bytes)],
        key: 1,
        // What a schema says of itself, and what the copying says.
        only: Some("name NOT IN ('oldest_schema', 'copying_from', 'moved_to')"),
        counted: None,
    },
];

/// The names of all tables, for a statement.
pub(super) fn names() -> String {
    TABLES.each_ref().map(|table| table.name).join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::state::store::{Store, StoreSettings, query};

    type Columns = BTreeMap<String, BTreeSet<(String, Kind)>>;

    fn ours() -> Columns {
        TABLES
            .iter()
            .map(|table| {
                let columns = table.columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
                (table.name.to_owned(), columns.collect())
            })
            .collect()
    }

    #[tokio::test]
    async fn every_table_and_column_of_a_file_is_copied() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let statement = "SELECT m.name AS of, c.name AS name, \
                                CASE WHEN m.sql LIKE '%' || c.name || ' %CHECK (' || c.name || ' IN (0, 1))%' \
                                     THEN 'BOOLEAN' ELSE c.type END AS type \
                         FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
                         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\'";
        let mut found = Columns::new();
        for row in query(statement).all(&store).await.unwrap() {
            let (of, name): (String, String) = (row.get("of").unwrap(), row.get("name").unwrap());
            let kind = match row.get("type").unwrap() {
                "INTEGER" => Integer,
                "TEXT" => Text,
                "BLOB" => Bytes,
                "BOOLEAN" => Boolean,
                other => panic!("{of}.{name}: {other}"),
            };
            if (of.as_str(), name.as_str()) != COLUMN_LEFT_OUT {
                found.entry(of).or_default().insert((name, kind));
            }
        }
        // Every table of a file has it without a word.
        for table in TABLES.iter().filter(|table| table.counted == Some("rowid")) {
            found.get_mut(table.name).unwrap().insert(("rowid".to_owned(), Integer));
        }
        assert_eq!(found, ours());
        store.close().await;
    }

    #[test]
    fn every_table_and_column_of_a_server_is_copied() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/store/postgres/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let mut found = Columns::new();
        let mut counted = vec![];
        let mut table = None;
        let kind_of = |kind: &str| match kind.trim_end_matches(';') {
            "BIGINT" => Integer,
            "TEXT" => Text,
            "BYTEA" => Bytes,
            "BOOLEAN" => Boolean,
            other => panic!("{other}"),
        };
        // The migrations are few, and are written in one way.
        for line in texts.iter().flat_map(|text| text.lines()) {
            let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
            match (table, words.as_slice()) {
                (None, ["CREATE", "TABLE", name, "("]) => table = Some(*name).filter(|name| !LEFT_OUT.contains(name)),
                (None, ["ALTER", "TABLE", of, "ADD", "COLUMN", name, kind, ..]) => {
                    found.get_mut(*of).unwrap().insert(((*name).to_owned(), kind_of(kind)));
                }
                (None, ["ALTER", "TABLE", ..]) => panic!("read this one too: {line}"),
                (Some(_), [");"]) => table = None,
                (Some(_), ["--" | "PRIMARY" | "UNIQUE" | "CHECK", ..]) => {}
                (Some(of), [name, kind, rest @ ..]) => {
                    found.entry(of.to_owned()).or_default().insert(((*name).to_owned(), kind_of(kind)));
                    if rest.contains(&"IDENTITY") {
                        counted.push((of, Some(*name)));
                    }
                }
                _ => {}
            }
        }
        assert_eq!(found, ours());
        let ours: Vec<_> = TABLES.iter().map(|table| (table.name, table.counted)).collect();
        let ours: BTreeSet<_> = ours.into_iter().filter(|(_, counted)| counted.is_some()).collect();
        assert_eq!(counted.into_iter().collect::<BTreeSet<_>>(), ours);
    }
}
