//! A node over RabbitMQ, and somebody who means no good.

use cachesync::{Cache, CacheConfig, Coherence, Registry, RegistryBuilder, UnknownCaches, amqp::AmqpBackend};
use cachesync_tests::{
    broker::Broker,
    patient,
    stranger::{Properties, Stranger},
    wait::{DEADLINE, eventually},
};
use tokio::sync::RwLock;

/// Whoever measures how long something takes, or takes much memory, reads it; whoever keeps the machine busy, or measures
/// the memory of the process, writes it.
pub(crate) static BUSY: RwLock<()> = RwLock::const_new(());

/// A namespace that no other test has.
pub(crate) fn namespace() -> String {
    format!("hostile-{:016x}", rand::random::<u64>())
}

/// A registry with two caches, and one that nobody but [`Node::hears`] speaks of.
pub(crate) fn builder(backend: AmqpBackend, namespace: &str) -> RegistryBuilder {
    Registry::builder()
        .namespace(namespace)
        .cache(CacheConfig::new("users"))
        .cache(CacheConfig::new("roles"))
        .cache(CacheConfig::new("marks"))
        .unknown_caches(UnknownCaches::Bypass)
        .backend(backend)
}

pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) users: Cache<u64, u64>,
    pub(crate) roles: Cache<(u32, String), u8>,
    pub(crate) namespace: String,
    marks: Cache<u64, u64>,
    /// How many marks were published.
    marked: u64,
    stranger: Stranger,
}

impl Node {
    pub(crate) async fn start() -> Self {
        let (url, namespace) = (Broker::shared().url(), namespace());
        let builder = patient::registry(builder(patient::backend(url), &namespace));
        let registry = builder.start().await.expect("the broker runs");
        Self {
            users: registry.cache("users").expect("configured"),
            roles: registry.cache("roles").expect("configured"),
            marks: registry.cache("marks").expect("configured"),
            marked: 0,
            registry,
            namespace,
            stranger: Stranger::connect(url).expect("the broker runs"),
        }
    }

    pub(crate) fn fill(&self) {
        for key in 1..=3 {
            self.users.insert(key, key);
        }
        self.roles.insert((7, "admin".into()), 1);
    }

    /// Somebody publishes to the address of this cache.
    pub(crate) fn publish(&mut self, cache: &str, properties: &Properties, body: &[u8]) {
        let routing_key = [self.namespace.as_bytes(), b".", cache.as_bytes()].concat();
        self.publish_to(&routing_key, properties, body);
    }

    pub(crate) fn publish_to(&mut self, routing_key: &[u8], properties: &Properties, body: &[u8]) {
        self.stranger.publish("cachesync", routing_key, properties, body).expect("published");
        self.stranger.settle().expect("the broker takes it");
    }

    /// Waits until everything has been applied that was published so far: messages are applied in their order, and behind
    /// them comes a mark.
    pub(crate) async fn hears(&mut self) {
        self.marked += 1;
        self.publish("marks", &json(), br#"{"cache": "marks", "keys": [1]}"#);
        eventually(DEADLINE, || self.marks.stats().evicted_by_others == self.marked).await;
    }

    pub(crate) fn is_coherent(&self) -> bool {
        matches!(self.registry.status().coherence, Coherence::Coherent { .. })
    }
}

/// The content type of frames.
pub(crate) fn frames() -> Properties {
    Properties::content_type(b"application/x-cachesync-frame")
}

pub(crate) fn json() -> Properties {
    Properties::content_type(b"application/json")
}
