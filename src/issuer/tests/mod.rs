//! Every transition of the machine alone, then with a real server that misbehaves.

mod files;
mod fixture;
mod machine;
mod refresh;
mod server;
