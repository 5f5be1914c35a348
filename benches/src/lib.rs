#![doc = include_str!("../README.md")]
#![allow(clippy::unused_async, reason = "what is compared are async functions whose bodies return at once")]

pub mod generated;
pub mod instances;
pub mod node;
#[cfg(feature = "peers")]
pub mod peers;
pub mod rounds;
pub mod users;

pub use cachesync_benches_report::{is_quick, numbers, row};
