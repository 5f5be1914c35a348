//! Nodes to test with.

use std::time::Duration;

use cachesync::{Cache, CacheConfig, Registry, RegistryBuilder, UnknownCaches, cache_evict, memory::MemoryBackend};
use cachesync_core::{
    Backend,
    frame::{Frame, NodeId, Operation},
    shape::KeyShape,
};
pub(crate) use cachesync_tests::wait::DEADLINE;
use cachesync_tests::{faulty::FaultyBackend, patient};

/// A registry with one cache, `users`.
pub(crate) fn node() -> RegistryBuilder {
    Registry::builder()
        .namespace("test")
        .node_name("node")
        .cache(CacheConfig::new("users"))
        .unknown_caches(UnknownCaches::Bypass)
}

/// A registry without a backend, and its cache.
pub(crate) async fn alone() -> (Registry, Cache<u64, String>) {
    with_users(node().start().await.expect("starts"))
}

/// Two nodes on one hub: the first with a backend that can be broken, the second sound.
pub(crate) async fn pair() -> (Node, Node) {
    let hub = MemoryBackend::new();
    (Node::on(&hub).await, Node::on(&hub).await)
}

pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) users: Cache<u64, String>,
    pub(crate) backend: FaultyBackend,
}

impl Node {
    pub(crate) async fn on(hub: &MemoryBackend) -> Self {
        let backend = FaultyBackend::new(hub);
        let builder = patient::registry(node().backend(backend.clone()));
        let (registry, users) = with_users(builder.start().await.expect("starts"));
        Self { registry, users, backend }
    }
}

/// A registry with just this cache, without a backend.
pub(crate) async fn only(config: CacheConfig) -> Registry {
    Registry::builder().cache(config).unknown_caches(UnknownCaches::Bypass).start().await.expect("starts")
}

/// Another registry on this backend, without annotated functions that it would have to agree with.
pub(crate) async fn another(config: CacheConfig, backend: impl Backend) -> Registry {
    let builder = Registry::builder().namespace("test").cache(config).unknown_caches(UnknownCaches::Bypass);
    patient::registry(builder.backend(backend)).start().await.expect("starts")
}

/// The first frame of another node, to evict everything of `users`.
pub(crate) fn users_frame() -> Frame {
    Frame {
        origin: NodeId(7),
        session: 1,
        sequence: 1,
        sent_at: 0,
        hold: Duration::ZERO,
        cache: Some("users".parse().expect("a valid name")),
        shape: KeyShape::NONE,
        operation: Operation::All,
        authentication: None,
    }
}

/// Writes by `body`, then evicts.
#[cache_evict(cache = "users", key = id, registry = registry)]
pub(crate) async fn save(registry: &Registry, id: u64, body: impl Future<Output = ()>) {
    body.await;
}

fn with_users(registry: Registry) -> (Registry, Cache<u64, String>) {
    let users = registry.cache("users").expect("configured");
    (registry, users)
}

/// Until every task has gone as far as it can; for tests whose tasks all run on one thread.
pub(crate) async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Fills a key by a load.
pub(crate) async fn load(users: &Cache<u64, String>, key: u64, value: &str) -> String {
    users.get_with(key, async || value.to_owned()).await
}
