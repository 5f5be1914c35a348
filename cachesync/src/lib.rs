//! Declarative caching for async services that run on more than one node.
//!
//! Annotate functions; every node answers from its own memory; a write on any node evicts the entry on all of them,
//! after the transaction that wrote it has committed.

// A forgotten statement about a hidden item is no loss.
#![warn(clippy::doc_markdown)]

pub mod memory;

#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;
mod cache;
mod call_site;
mod clock;
mod config;
mod engine;
mod error;
mod eviction;
mod key;
mod lease;
mod registry;
mod statistics;
mod transaction;

use __private as private;

#[cfg(feature = "amqp")]
pub use cachesync_amqp as amqp;
#[cfg(feature = "macros")]
pub use cachesync_macros::{cache_evict, cacheable};

pub use crate::{
    cache::{Cache, Reservation},
    clock::ManualClock,
    config::{CacheConfig, UnknownCaches},
    error::Error,
    key::{Key, KeyRef, Value},
    registry::{CacheDescription, Coherence, Description, FunctionDescription, Registry, RegistryBuilder, Status},
    statistics::{CacheStats, RegistryStats},
    transaction::{Committed, Transaction},
};
