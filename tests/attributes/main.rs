//! What functions with `#[cacheable]` and `#[cache_evict]` do.
//!
//! All tests are one binary and share the list of annotated functions. So each uses caches of its own, and registries
//! know only some of the caches.

mod evicting;
mod forms;
mod futures;
mod keys;
mod loading;
mod programs;
mod signatures;
mod types;

use std::sync::atomic::{AtomicU32, Ordering};

use cachesync::{CacheConfig, Registry, UnknownCaches};

/// A registry with caches of these names.
async fn registry(caches: &[&str]) -> Registry {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass);
    let builder = caches.iter().fold(builder, |builder, name| builder.cache(CacheConfig::new(*name)));
    builder.start().await.expect("the functions agree about their caches")
}

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
