//! What fuzzing holds the gateway to. The targets in `fuzz_targets` bring any input, the test brings their seeds.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod contract;
mod ground;
pub mod jwks;
pub mod opaque;
pub mod token;
