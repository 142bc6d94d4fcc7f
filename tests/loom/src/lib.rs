//! The set of revocations under [loom](https://docs.rs/loom): its own sources, with loom's atomics and locks in the
//! place of the standard library's.
//!
//! loom runs each test again and again, with every interleaving of its threads, and lets every relaxed load see every
//! value that the memory model allows. So a missing `Release` fails here on any machine.
//!
//! ```text
//! state/revocation.rs             the modules of src/state/revocation, included by their path
//! state/revocation/primitives.rs  what they are made of here, and their sizes
//! state/revocation/tests.rs       the tests
//! domain.rs · state.rs            as much of the gateway's types as the sources ask for
//! ```

#![forbid(unsafe_code)]
#![allow(dead_code, reason = "the sources are the gateway's, which uses all of them")]
#![allow(unreachable_pub, reason = "what is public there has no user here")]

mod domain;
mod state;
