//! Nodes to test with, and functions that stop in the middle of their bodies.

use std::{pin::Pin, time::Duration};

use cachesync::{
    Cache, CacheConfig, CacheStats, Key, ManualClock, Registry, RegistryBuilder, UnknownCaches, Value,
    memory::MemoryBackend,
};
use cachesync_tests::{
    faulty::FaultyBackend,
    gate::Gate,
    wait::{DEADLINE, eventually, within},
};
use futures_util::poll;

/// How long evictions of unknown necessity are held by a registry with a [clock](clocked).
pub(crate) const SETTLE: Duration = Duration::from_secs(5);

fn builder(caches: &[&str]) -> RegistryBuilder {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).settle(SETTLE);
    caches.iter().fold(builder, |builder, name| builder.cache(CacheConfig::new(*name)))
}

/// A registry with caches of these names.
pub(crate) async fn registry(caches: &[&str]) -> Registry {
    builder(caches).start().await.expect("the functions agree about their caches")
}

/// The same with a clock that stands still, so that holds and entries last until the test moves it.
pub(crate) async fn clocked(caches: &[&str]) -> (Registry, ManualClock) {
    let clock = ManualClock::new();
    (builder(caches).clock(clock.clone()).start().await.expect("starts"), clock)
}

/// The cache of a registry.
pub(crate) fn cache<K: Key, V: Value>(registry: &Registry, name: &str) -> Cache<K, V> {
    registry.cache(name).expect("its types")
}

/// What a cache has counted.
pub(crate) fn stats(registry: &Registry, name: &str) -> CacheStats {
    registry.stats().caches[name]
}

/// One of several registries that tell each other what they evict.
pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) backend: FaultyBackend,
}

/// Two nodes with caches of these names.
pub(crate) async fn pair(caches: &[&str]) -> (Node, Node) {
    let hub = MemoryBackend::new();
    (Node::on(&hub, builder(caches)).await, Node::on(&hub, builder(caches)).await)
}

impl Node {
    pub(crate) async fn on(hub: &MemoryBackend, builder: RegistryBuilder) -> Self {
        let backend = FaultyBackend::new(hub);
        let builder = builder.namespace("attributes").node_name("node").backend(backend.clone());
        Self { registry: builder.start().await.expect("starts"), backend }
    }

    /// Waits until this node has applied as many evictions of others in this cache.
    pub(crate) async fn hears(&self, cache: &str, evictions: u64) {
        eventually(DEADLINE, || stats(&self.registry, cache).evicted_by_others == evictions).await;
    }
}

/// A function that was called and has not come to its end.
pub(crate) type Begun<F> = Pin<Box<F>>;

/// Calls a function that stops on its way.
pub(crate) async fn begun<F: Future>(future: F) -> Begun<F> {
    let mut future = Box::pin(future);
    assert!(poll!(future.as_mut()).is_pending(), "it came to its end");
    future
}

/// A body that stops at a gate.
pub(crate) async fn behind<T>(gate: &Gate, output: T) -> T {
    gate.pass().await;
    output
}

/// Lets the only one at this gate through, to its end.
pub(crate) async fn end<F: Future>(gate: &Gate, begun: Begun<F>) -> F::Output {
    gate.let_through(1);
    within(DEADLINE, begun).await
}
