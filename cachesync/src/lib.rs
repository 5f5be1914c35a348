//! Declarative caching for async services that run on more than one node.
//!
//! Annotate functions. Every node answers from its own memory; a write on any node evicts the entry on all of them,
//! after the transaction that wrote it has committed. Values never leave a node; only evictions travel.
//!
//! ```
//! use std::{collections::HashMap, sync::{Arc, Mutex}};
//!
//! use cachesync::{CacheConfig, Registry, Transaction, cache_evict, cacheable, memory::MemoryBackend};
//!
//! struct Users {
//!     rows: Arc<Mutex<HashMap<u64, Arc<str>>>>,
//!     caches: Registry,
//! }
//!
//! impl Users {
//!     #[cacheable(cache = "users", key = id, registry = self.caches)]
//!     async fn find(&self, id: u64) -> Option<Arc<str>> {
//!         self.rows.lock().unwrap().get(&id).cloned()
//!     }
//!
//!     #[cache_evict(cache = "users", key = id, registry = self.caches)]
//!     async fn rename(&self, id: u64, name: &str) {
//!         self.rows.lock().unwrap().insert(id, name.into());
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cachesync::Error> {
//! # async fn commit_the_database() -> Result<(), cachesync::Error> { Ok(()) }
//! let rows = Arc::new(Mutex::new(HashMap::from([(1, "Ada".into())])));
//! let caches = Registry::builder()
//!     .namespace("shop")
//!     .cache(CacheConfig::new("users").capacity(100_000))
//!     .backend(MemoryBackend::new())
//!     .start()
//!     .await?;
//! let users = Users { rows, caches };
//!
//! assert_eq!(users.find(1).await.as_deref(), Some("Ada")); // loads
//! assert_eq!(users.find(1).await.as_deref(), Some("Ada")); // answers from memory
//!
//! let transaction = Transaction::begin();
//! transaction.scope(users.rename(1, "Ada Lovelace")).await; // the eviction waits
//! transaction.commit_with(commit_the_database()).await?; // the database first, then the caches of every node
//!
//! assert_eq!(users.find(1).await.as_deref(), Some("Ada Lovelace")); // loads afresh
//! # let stats = users.caches.stats().caches["users"];
//! # assert_eq!((stats.hits, stats.loads, stats.evicted), (1, 2, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Overview
//!
//! - [`#[cacheable]`](macro@cacheable), [`#[cache_put]`](macro@cache_put) and [`#[cache_evict]`](macro@cache_evict)
//!   annotate functions, and [`#[cache_config]`](macro@cache_config) says for a whole `impl` what they have in common. A
//!   key is any expression over the parameters; callers who miss the same key at the same time share one load. Entries
//!   can carry tags, functions can load many keys at once, and each page says what else there is.
//! - [`Registry`] holds a node's named caches and keeps them coherent with those of the other nodes. Annotated functions
//!   find theirs by `registry = expr`, else by the innermost [`Registry::scope`], else as the one that was
//!   [installed](Registry::install). With none they run their bodies, so libraries can annotate functions and leave the
//!   choice to the application.
//! - [`cache!`] declares a cache together with its types, as a static that is used wherever a registry is in scope or
//!   installed: a [`TypedCache`].
//! - [`CacheConfig`] says how large a cache is and how long its entries are served; [`Cache`] is a handle to do by hand
//!   what the attributes do.
//! - [`Transaction`] holds evictions back until the database has committed. Reads inside it see its own writes, and nothing
//!   that it read reaches others.
//! - Backends carry evictions between nodes: [`memory::MemoryBackend`] within a process,
//!   `amqp::AmqpBackend` (feature `amqp`) over RabbitMQ. They are swapped by one line.
//! - [`Registry::status`], which [`status_changes`](Registry::status_changes) watches, [`stats`](Registry::stats) and [`describe`](Registry::describe) tell how a node is doing, what
//!   it has counted, and who uses which cache.
//! - For tests, [`ManualClock`] moves when told to, and [`UnknownCaches::Bypass`] allows for annotated functions whose
//!   caches a test does not configure.
//!
//! The [`guide`] has [recipes](guide::recipes), and says what differs for who comes
//! [from Spring](guide::coming_from_spring), or [from `cached` or moka](guide::coming_from_cached_and_moka).
//!
//! What is guaranteed, and what is not, is listed in the
//! [README](https://github.com/cachesync/cachesync#what-is-guaranteed). The most important bound: each node sends itself a
//! heartbeat through the broker, and answers from its caches only while one younger than the
//! [lease](RegistryBuilder::lease) has come back. No node serves a value later than the lease after the broker confirmed
//! its eviction, whatever happens to the network.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `macros` | yes | the four attributes |
//! | `amqp` | | `amqp::AmqpBackend`, for RabbitMQ over plain TCP |
//! | `amqp-rustls` | | the same over TLS, for `amqps://` URLs; compiles C code |
//!
//! # Non-features
//!
//! - Values are not distributed, and not stored anywhere but in the memory of the node that loaded them. For values that
//!   are dear to load once per node, a shared cache is the better place.
//! - It is no lock and no consensus: two nodes may load the same key at the same time, and for about a millisecond after
//!   a commit other nodes still answer with the old value.
//! - It does not watch the database. What writes past the annotated functions has to evict by itself, from any language,
//!   as the README shows.

// A forgotten statement about a hidden item is no loss.
#![warn(clippy::doc_markdown)]
#![expect(clippy::needless_pass_by_value, reason = "lookups take the form of a key by value, see `key.rs`")]

#[cfg(any(doc, doctest))]
pub mod guide;
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
#[cfg(all(test, cachesync_shuttle))]
mod model;
mod mutation;
mod places;
mod put;
mod registry;
mod remembered;
mod scope;
mod shared_keys;
mod statistics;
mod sync;
mod timer;
mod transaction;
mod typed;

use __private as private;

#[cfg(feature = "amqp")]
pub use cachesync_amqp as amqp;
pub use cachesync_core::backend;
#[cfg(feature = "macros")]
pub use cachesync_macros::{cache_config, cache_evict, cache_put, cacheable};

pub use crate::{
    cache::{Cache, Reservation},
    clock::ManualClock,
    config::{CacheConfig, OnPartition, UnknownCaches},
    engine::depth::OutboxDepth,
    error::Error,
    key::{Key, KeyForm, KeyRef, Value},
    registry::{
        CacheDeclaration, CacheDescription, Coherence, Description, FunctionDescription, Registry, RegistryBuilder,
        Status, StatusChanges,
    },
    shared_keys::SharedKeys,
    statistics::{CacheStats, RefusedStats, RegistryStats},
    transaction::{Committed, Transaction, TransactionHandle},
    typed::TypedCache,
};

/// Compiles and runs what the README shows. Only for doctests: a published crate does not have the file at this path.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
