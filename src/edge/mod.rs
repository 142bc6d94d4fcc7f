//! Floor 4: bytes in and out.

pub mod admin;
pub mod endpoint;
pub mod proxy;
pub mod respond;
