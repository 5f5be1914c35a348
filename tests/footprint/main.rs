//! What an annotated function costs in memory: allocations on a hit and on a miss, and the size of its future.
//!
//! A binary of its own, since it counts with an allocator of its own.

mod allocations;
mod day;
mod flood;
mod lines;
mod sizes;

use cachesync::{CacheConfig, Registry, UnknownCaches};

/// A registry with caches of these names.
async fn registry(caches: &[&str]) -> Registry {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass);
    let builder = caches.iter().fold(builder, |builder, name| builder.cache(CacheConfig::new(*name)));
    builder.start().await.expect("the functions agree about their caches")
}
