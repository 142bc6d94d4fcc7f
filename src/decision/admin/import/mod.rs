//! Brings the accounts of another system into a realm: rows in, batches out, each with the point behind it.
//!
//! ```text
//! column   the columns, and what a bad row is told
//! row      what a row says, judged as `user add` judges
//! importer an import on its way: how it is to go, and why it may come to nothing
//! run      the rows of a file to its end, batch after batch
//! batch    what becomes of each row of a batch
//! status   what there is to know about a migration
//! wrap     argon2id over hashes that are quickly tried
//! ```

mod batch;
mod column;
mod importer;
mod row;
mod run;
mod status;
mod wrap;

pub use self::{
    batch::Item,
    column::{BadRow, Column},
    importer::{ImportFailure, Importer, OnConflict, Options, Stopped, check_import},
    row::{AccountRow, RawRow, Row, Says},
    run::{RowOfFile, Rows},
    status::MigrationStatus,
    wrap::Wrapped,
};
