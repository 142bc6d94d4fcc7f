//! The steps of a store's schema, built in. Each engine lists its own: a file that nobody lists is found by the test.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// The migrations of the folder `migrations` beside the caller, by their files' names without `.sql`. A release's files
/// never change: what a store remembers of each is its digest.
macro_rules! migrations {
    ($($name:literal),+ $(,)?) => {
        std::sync::LazyLock::new(|| {
            $crate::state::store::migrations::migrator(&[
                $(($name, include_str!(concat!("migrations/", $name, ".sql")))),+
            ])
        })
    };
}

pub(super) use migrations;

/// Of names such as `0001_init`, and their texts.
pub(super) fn migrator(files: &[(&'static str, &'static str)]) -> Migrator {
    Migrator::with_migrations(files.iter().map(|(name, text)| migration(name, text)).collect())
}

fn migration(name: &'static str, text: &'static str) -> Migration {
    let (number, description) = name.split_once('_').expect("a migration's name has a number and a word");
    let version = number.parse().expect("a migration's name begins with its number");
    Migration::new(version, Cow::Borrowed(description), MigrationType::Simple, text.into_sql_str(), false)
}

/// What lies in an engine's folder, for its test: a file that is not built in would never run.
#[cfg(test)]
pub(super) fn assert_whole(engine: &str, built_in: &Migrator) {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/store").join(engine).join("migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let name = |built: &Migration| format!("{:04}_{}.sql", built.version, built.description);
    assert_eq!(built_in.iter().map(name).collect::<Vec<_>>(), files);
}
