//! What functions with `#[cacheable]` and `#[cache_evict]` do.
//!
//! All tests are one binary and share the list of annotated functions. So each uses caches of its own, and registries
//! know only some of the caches.

mod batch_races;
mod batches;
mod collisions;
mod conditions;
mod config_block;
mod evicting;
mod explicit_transaction;
mod forms;
mod futures;
mod keys;
mod loading;
mod negative;
mod nesting;
mod nodes;
mod panics;
mod places;
mod programs;
mod put_holds;
mod put_races;
mod puts;
mod several;
mod signatures;
mod tag_races;
mod tags;
mod ttl;
mod typed;
mod types;

use std::sync::atomic::{AtomicU32, Ordering};

use nodes::registry;

/// Counts how often the body of a function ran.
#[derive(Default)]
struct Calls(AtomicU32);

impl Calls {
    /// To be called in the body. Gives way to other tasks, as a load does.
    async fn count(&self) -> u32 {
        tokio::task::yield_now().await;
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
