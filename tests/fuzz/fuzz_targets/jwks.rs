//! See `portero_fuzz::jwks`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portero_fuzz::jwks::check(data));
