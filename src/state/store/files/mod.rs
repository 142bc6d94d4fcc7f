//! Secrets in files.
//!
//! ```text
//! private_file  reads and makes a file that only its owner reads, whole or not at all
//! access        what this process may do in the file system, asked without changing anything there
//! ```

pub mod access;
pub mod private_file;
