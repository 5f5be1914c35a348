#![doc = include_str!("../README.md")]
#![allow(clippy::unused_async, reason = "what is compared are async functions whose bodies return at once")]

pub mod generated;
pub mod node;
#[cfg(feature = "peers")]
pub mod peers;
pub mod rounds;
pub mod row;

/// Whether the program was called with `--quick`.
pub fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}
