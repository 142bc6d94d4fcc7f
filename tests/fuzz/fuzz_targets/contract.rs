//! See `portero_fuzz::contract`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portero_fuzz::contract::check(data));
