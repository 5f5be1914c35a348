//! A node with everything on that a service has on, and functions that it caches; beside them, bare `quick_cache`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use cachesync::{CacheConfig, Registry, Transaction, UnknownCaches, cacheable, memory::MemoryBackend};
use quick_cache::{Equivalent, sync::Cache as Bare};
use tokio::runtime::{self, Runtime};

/// Entries that each cache may hold, here and of the peers.
pub const CAPACITY: usize = 200_000;
/// The age at which entries expire, here and of the peers: none does while something is measured.
pub const TTL: Duration = Duration::from_hours(1);

/// By number.
#[cacheable(cache = "users", key = id)]
pub async fn user(id: u64) -> Arc<u64> {
    Arc::new(id)
}

/// By text.
#[cacheable(cache = "names", key = name)]
pub async fn name(name: &str) -> Arc<u64> {
    Arc::new(name.len() as u64)
}

/// By both.
#[cacheable(cache = "pairs", key = (tenant, name))]
pub async fn pair(tenant: u32, name: &str) -> Arc<u64> {
    Arc::new(u64::from(tenant) + name.len() as u64)
}

/// What one would write by hand, without anything that keeps nodes coherent.
pub async fn bare_user(cache: &Bare<u64, Arc<u64>>, id: u64) -> Arc<u64> {
    if let Some(value) = cache.get(&id) {
        return value;
    }
    let value = Arc::new(id);
    cache.insert(id, value.clone());
    value
}

/// A miss, as one would write it by hand where callers of one key share a load.
pub async fn bare_miss(cache: &Bare<u64, Arc<u64>>, id: u64) -> Arc<u64> {
    let Ok(value) = cache.get_or_insert_async(&id, async { Ok::<_, Infallible>(Arc::new(id)) }).await;
    value
}

/// The same by text.
pub async fn bare_name(cache: &Bare<String, Arc<u64>>, name: &str) -> Arc<u64> {
    if let Some(value) = cache.get(name) {
        return value;
    }
    let value = Arc::new(name.len() as u64);
    cache.insert(name.to_owned(), value.clone());
    value
}

/// The same by both.
pub async fn bare_pair(cache: &Bare<(u32, String), Arc<u64>>, tenant: u32, name: &str) -> Arc<u64> {
    if let Some(value) = cache.get(&Pair(tenant, name)) {
        return value;
    }
    let value = Arc::new(u64::from(tenant) + name.len() as u64);
    cache.insert((tenant, name.to_owned()), value.clone());
    value
}

/// The borrowed form of a pair, as one has to write it for `quick_cache`.
#[derive(Debug, Hash)]
pub struct Pair<'a>(pub u32, pub &'a str);

impl Equivalent<(u32, String)> for Pair<'_> {
    fn equivalent(&self, key: &(u32, String)) -> bool {
        self.0 == key.0 && self.1 == key.1
    }
}

/// A node of a namespace: a backend, thus a lease; a ttl; statistics, which are always on; a transaction that is open
/// somewhere in the process. Its registry is installed.
#[derive(Debug)]
pub struct Node {
    /// Its registry.
    pub registry: Registry,
    /// The transaction.
    _elsewhere: Transaction,
    /// What keeps the lease, on a thread of its own: loops that never yield are measured on others.
    runtime: Runtime,
}

impl Node {
    /// Starts it, with its three caches and those named `more`.
    ///
    /// # Panics
    ///
    /// If it cannot be started, or this process has one.
    pub fn start(more: impl IntoIterator<Item = String>) -> Self {
        Self::start_with(MemoryBackend::new(), CAPACITY, more)
    }

    /// As [`start`](Self::start), beside others on the same backend, with other capacities.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn start_with(backend: MemoryBackend, capacity: usize, more: impl IntoIterator<Item = String>) -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let names = ["users", "names", "pairs"].map(str::to_owned).into_iter().chain(more);
        let builder = Registry::builder().namespace("bench").backend(backend).unknown_caches(UnknownCaches::Bypass);
        let builder =
            names.fold(builder, |builder, name| builder.cache(CacheConfig::new(name).capacity(capacity).ttl(TTL)));
        let registry = runtime.block_on(builder.start()).expect("a registry");
        registry.install().expect("the only one");
        Self { registry, _elsewhere: Transaction::begin(), runtime }
    }

    /// Runs a future where the node's own task runs.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Runs `calls`, which are this many hits of a cache and nothing else.
    ///
    /// # Panics
    ///
    /// If they were not: then something else was measured.
    pub fn all_hits<T>(&self, cache: &str, hits: u64, calls: impl FnOnce() -> T) -> T {
        let before = self.registry.stats().caches[cache];
        let result = calls();
        let after = self.registry.stats().caches[cache];
        assert_eq!((after.hits - before.hits, after.loads, after.shared), (hits, before.loads, before.shared));
        result
    }
}
