//! Registries over RabbitMQ: what the rules promise, end to end.

use std::sync::Arc;

use cachesync::{
    Cache, CacheConfig, Coherence, Registry, RegistryBuilder, Transaction, UnknownCaches, amqp::AmqpBackend,
    cache_evict, cacheable,
};
use cachesync_tests::{
    broker::Broker,
    patient,
    wait::{DEADLINE, eventually, within},
};
use lapin::{BasicProperties, Connection, ConnectionProperties, options::BasicPublishOptions};
use tokio::sync::Mutex;

mod streams;

/// A namespace that no other test has.
fn namespace() -> String {
    format!("test-{:016x}", rand::random::<u64>())
}

fn node(url: &str, namespace: &str) -> RegistryBuilder {
    let builder = Registry::builder().namespace(namespace).node_name("node.under/test");
    let builder = builder.cache(CacheConfig::new("users")).unknown_caches(UnknownCaches::Bypass);
    patient::registry(builder.backend(patient::backend(url)))
}

/// A node: its repository, over the table that all share.
struct Users {
    caches: Registry,
    cache: Cache<u64, Arc<String>>,
    table: Arc<Mutex<String>>,
}

impl Users {
    async fn on(broker: &Broker, namespace: &str, table: &Arc<Mutex<String>>) -> Self {
        let caches = node(broker.url(), namespace).start().await.expect("the broker runs");
        let cache = caches.cache("users").expect("configured");
        Self { caches, cache, table: table.clone() }
    }

    #[cacheable(cache = "users", key = id, registry = self.caches)]
    async fn find(&self, id: u64) -> Arc<String> {
        let _ = id;
        Arc::new(self.table.lock().await.clone())
    }

    #[cache_evict(cache = "users", key = id, registry = self.caches)]
    async fn rename(&self, id: u64, name: &str) {
        let _ = id;
        name.clone_into(&mut *self.table.lock().await);
    }

    fn is_coherent(&self) -> bool {
        matches!(self.caches.status().coherence, Coherence::Coherent { .. })
    }
}

async fn three(broker: &Broker) -> [Users; 3] {
    let (namespace, table) = (namespace(), Arc::new(Mutex::new("Ada".to_owned())));
    [
        Users::on(broker, &namespace, &table).await,
        Users::on(broker, &namespace, &table).await,
        Users::on(broker, &namespace, &table).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_commit_on_one_node_every_other_loads_afresh() {
    let nodes = three(Broker::shared()).await;
    for (round, name) in ["Bob", "Eve", "Zoe"].into_iter().enumerate() {
        for node in &nodes {
            node.find(1).await;
            assert!(node.cache.get(&1).is_some());
        }
        let transaction = Transaction::begin();
        transaction.scope(nodes[0].rename(1, name)).await;
        for node in &nodes {
            assert!(node.cache.get(&1).is_some(), "nothing is evicted before the commit");
        }
        within(DEADLINE, transaction.commit().confirmed()).await.expect("confirmed");
        assert_eq!(*nodes[0].find(1).await, name, "at once on the node that wrote");
        for node in &nodes[1..] {
            eventually(DEADLINE, || node.cache.stats().evicted_by_others == round as u64 + 1).await;
            assert_eq!(*node.find(1).await, name);
        }
    }
    for node in nodes {
        node.caches.shutdown().await.expect("nothing waits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_evictions_all_arrive() {
    let nodes = three(Broker::shared()).await;
    nodes[0].cache.evict_many(0..50_000u64);
    nodes[0].caches.flush().await.expect("the broker takes them");
    for node in &nodes[1..] {
        eventually(DEADLINE, || node.cache.stats().evicted_by_others == 50_000).await;
        assert_eq!(node.cache.stats().cleared, 0);
    }
    let frames = nodes[0].caches.stats().frames_sent;
    assert!(frames < 500, "{frames} frames");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_restarted_leaves_every_node_right() {
    let broker = Broker::start();
    let nodes = three(&broker).await;
    for node in &nodes {
        node.find(1).await;
    }
    broker.kill();
    for node in &nodes {
        eventually(DEADLINE, || !node.is_coherent()).await;
    }
    // The writer is not stopped by the broker's absence, and reads its own write.
    let transaction = Transaction::begin();
    transaction.scope(nodes[0].rename(1, "Bob")).await;
    let committed = transaction.commit();
    assert_eq!(*nodes[0].find(1).await, "Bob");
    assert!(!nodes[0].caches.status().outbox.is_empty());

    broker.restart();
    within(DEADLINE, committed.confirmed()).await.expect("delivered after the outage");
    for node in &nodes {
        eventually(DEADLINE, || node.is_coherent()).await;
        eventually(DEADLINE, || node.cache.get(&1).is_none_or(|name| *name == "Bob")).await;
        assert_eq!(*node.find(1).await, "Bob");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_closed_by_the_operator_are_opened_again_and_nothing_stale_is_served() {
    let broker = Broker::start();
    let nodes = three(&broker).await;
    for node in &nodes {
        node.find(1).await;
    }
    broker.ctl(&["close_all_connections", "the test says so"]);
    nodes[0].rename(1, "Bob").await;
    for node in &nodes {
        eventually(DEADLINE, || node.caches.stats().sessions >= 2 && node.is_coherent()).await;
    }
    nodes[0].caches.flush().await.expect("delivered");
    // A node hears the eviction, or it subscribed after it and cleared.
    for node in &nodes {
        eventually(DEADLINE, || node.cache.get(&1).is_none_or(|name| *name == "Bob")).await;
        assert_eq!(*node.find(1).await, "Bob");
    }
}

/// Publishes as a program in another language would.
async fn publish(url: &str, routing_key: &str, content_type: &str, body: &[u8]) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("the broker runs");
    let channel = connection.create_channel().await.expect("a channel");
    let properties = BasicProperties::default().with_content_type(content_type.into());
    let publish =
        channel.basic_publish("cachesync".into(), routing_key.into(), BasicPublishOptions::default(), body, properties);
    publish.await.expect("sent").await.expect("taken");
    connection.close(200, "done".into()).await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_in_another_language_evicts_by_json_and_garbage_is_survived() {
    let broker = Broker::shared();
    let (namespace, table) = (namespace(), Arc::new(Mutex::new("Ada".to_owned())));
    let node = Users::on(broker, &namespace, &table).await;
    let users = format!("{namespace}.users");
    node.find(1).await;
    node.find(2).await;
    publish(broker.url(), &users, "application/json", br#"{"cache": "users", "keys": [1]}"#).await;
    eventually(DEADLINE, || node.cache.get(&1).is_none()).await;
    assert!(node.cache.get(&2).is_some());
    publish(broker.url(), &users, "application/json", br#"{"cache": "users", "all": true}"#).await;
    eventually(DEADLINE, || node.cache.is_empty()).await;

    node.find(1).await;
    for (so_far, (content_type, body)) in
        [("application/octet-stream", &b"garbage"[..]), ("application/json", b"{"), ("", b"")].into_iter().enumerate()
    {
        publish(broker.url(), &users, content_type, body).await;
        eventually(DEADLINE, || node.caches.stats().bad_messages == so_far as u64 + 1).await;
    }
    assert!(node.cache.is_empty(), "what garbage may have concerned is cleared");
    assert_eq!(node.caches.stats().sessions, 1);
    assert_eq!(*node.find(1).await, "Ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_cannot_work_says_why_in_bounded_time_without_the_password() {
    let broker = Broker::shared_private();
    let [port] = cachesync_tests::broker::free_ports();
    for (url, part) in [
        (format!("amqp://guest:s3cret@127.0.0.1:{port}"), "127.0.0.1"),
        (broker.url_with("guest", "s3cret", "%2f"), "guest"),
        (broker.url_with("guest", "guest", "missing"), "missing"),
    ] {
        let error = within(DEADLINE, node(&url, &namespace()).start()).await.expect_err(&url);
        assert!(error.is_backend(), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(part) && !shown.contains("s3cret"), "{shown}");
    }
    let error: cachesync::Error = AmqpBackend::new("http://guest:s3cret@localhost").expect_err("not AMQP").into();
    assert!(error.is_backend() && !error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lazy_start_finds_a_broker_that_comes_later() {
    let broker = Broker::start();
    broker.kill();
    let registry = node(broker.url(), &namespace()).start_lazy().await.expect("starts without");
    let users = registry.cache::<u64, u8>("users").expect("configured");
    users.evict(&1);
    eventually(DEADLINE, || registry.status().last_error.is_some()).await;
    broker.restart();
    eventually(DEADLINE, || matches!(registry.status().coherence, Coherence::Coherent { .. })).await;
    within(DEADLINE, registry.flush()).await.expect("what waited is delivered");
}
