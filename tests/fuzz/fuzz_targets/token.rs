//! See `portero_fuzz::token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portero_fuzz::token::check(data));
