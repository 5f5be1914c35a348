#![no_main]
//! What holds of any bytes that are taken for a key.

#[path = "../../tests/src/properties/mod.rs"]
#[allow(dead_code, reason = "each target has one of the properties")]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::key(bytes));
