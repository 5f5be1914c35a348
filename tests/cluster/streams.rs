//! Registries over a stream: who resumes keeps its caches, and what was evicted meanwhile is gone.

use std::{fs, path::Path};

use cachesync::{Cache, CacheConfig, Coherence, Registry, UnknownCaches, amqp::Stream};
use cachesync_tests::{
    broker::Broker,
    patient,
    proxy::Proxy,
    wait::{DEADLINE, eventually, within},
};

use crate::namespace;

struct Node {
    registry: Registry,
    users: Cache<u64, String>,
}

impl Node {
    async fn on(url: &str, namespace: &str) -> Self {
        let builder = Registry::builder().namespace(namespace).cache(CacheConfig::new("users"));
        let builder = builder.unknown_caches(UnknownCaches::Bypass);
        let backend = patient::backend(url).stream(Stream::new());
        let registry = patient::registry(builder.backend(backend)).start().await.expect("the broker runs");
        let users = registry.cache("users").expect("configured");
        Self { registry, users }
    }

    async fn load(&self, key: u64) {
        self.users.get_with(key, async || "loaded".to_owned()).await;
        assert!(self.users.get(&key).is_some());
    }

    async fn evict(&self, key: u64) {
        self.users.evict(&key);
        within(DEADLINE, self.registry.flush()).await.expect("taken");
    }

    /// Hears something of the other one: from then on it has a place to resume at.
    async fn hears(&self, other: &Self) {
        let so_far = self.users.stats().evicted_by_others;
        other.evict(0).await;
        eventually(DEADLINE, || self.users.stats().evicted_by_others > so_far).await;
    }

    async fn is_coherent_in_session(&self, session: u64) {
        let coherent = || matches!(self.registry.status().coherence, Coherence::Coherent { .. });
        eventually(DEADLINE, || self.registry.stats().sessions >= session && coherent()).await;
    }

    /// How many sessions have resumed, and how often everything was cleared.
    fn counts(&self) -> (u64, u64) {
        (self.registry.stats().resumed, self.users.stats().cleared)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_resumes_with_its_caches_and_without_what_was_evicted_meanwhile() {
    let broker = Broker::shared();
    let (proxy, namespace) = (Proxy::before(broker.url()).await, namespace());
    let (here, there) = (Node::on(proxy.url(), &namespace).await, Node::on(broker.url(), &namespace).await);
    for round in 1..=2 {
        here.hears(&there).await;
        here.load(1).await;
        here.load(2).await;
        proxy.cut();
        eventually(DEADLINE, || matches!(here.registry.status().coherence, Coherence::Suspect { .. })).await;
        there.evict(1).await;
        proxy.resume();
        here.is_coherent_in_session(1 + round).await;
        assert_eq!(here.users.get(&1), None);
        assert!(here.users.get(&2).is_some(), "a hit, and no load");
        assert_eq!((here.counts(), there.counts()), ((round, 0), (0, 0)));
    }
    assert_eq!(here.registry.stats().bad_messages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_of_the_broker_on_its_data_every_node_resumes_and_the_outbox_arrives() {
    let broker = Broker::start();
    let namespace = namespace();
    let nodes = [Node::on(broker.url(), &namespace).await, Node::on(broker.url(), &namespace).await];
    for (node, other) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        node.hears(other).await;
        node.load(1).await;
        node.load(2).await;
    }
    broker.write_out();
    broker.kill();
    for node in &nodes {
        eventually(DEADLINE, || !matches!(node.registry.status().coherence, Coherence::Coherent { .. })).await;
    }
    nodes[0].users.evict(&1);
    broker.restart();
    within(DEADLINE, nodes[0].registry.flush()).await.expect("delivered after the outage");
    for node in &nodes {
        node.is_coherent_in_session(2).await;
        eventually(DEADLINE, || node.users.get(&1).is_none()).await;
        assert!(node.users.get(&2).is_some());
        assert_eq!(node.counts(), (1, 0));
    }
}

/// Streams are on the disk when the operating system writes them. Who was away has read nothing of what is lost, so it finds its
/// place and resumes; the writer, with its next session, lets a trailer follow what it had sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_that_the_broker_lost_with_its_disk_is_noticed_by_a_node_that_was_away_and_resumes() {
    let broker = Broker::start();
    let (proxy, namespace) = (Proxy::before(broker.url()).await, namespace());
    let (here, there) = (Node::on(proxy.url(), &namespace).await, Node::on(broker.url(), &namespace).await);
    here.load(9).await;
    there.evict(9).await;
    eventually(DEADLINE, || here.users.get(&9).is_none()).await;
    here.load(1).await;
    proxy.cut();
    eventually(DEADLINE, || matches!(here.registry.status().coherence, Coherence::Suspect { .. })).await;

    let (data, saved) = (broker.folder().join("mnesia"), broker.folder().join("saved"));
    broker.write_out();
    broker.kill();
    copy(&data, &saved);
    broker.restart();
    there.is_coherent_in_session(2).await;
    there.evict(1).await;
    // Their trailer, which follows within two beats, is to be lost too.
    let sent = there.registry.stats().frames_sent;
    eventually(DEADLINE, || there.registry.stats().frames_sent >= sent + 5).await;
    broker.kill();
    fs::remove_dir_all(&data).expect("the node's data");
    fs::rename(&saved, &data).expect("as it was");
    broker.restart();
    there.is_coherent_in_session(3).await;

    proxy.resume();
    here.is_coherent_in_session(2).await;
    assert_eq!(here.registry.stats().resumed, 1);
    eventually(DEADLINE, || here.registry.stats().gaps == 1).await;
    assert_eq!(here.users.get(&1), None);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_stream_is_deleted_every_node_clears_and_goes_on() {
    let broker = Broker::shared_private();
    let namespace = namespace();
    let nodes = [Node::on(broker.url(), &namespace).await, Node::on(broker.url(), &namespace).await];
    for node in &nodes {
        node.load(1).await;
    }
    broker.ctl(&["delete_queue", &format!("cachesync.{namespace}.cachesync.stream")]);
    for node in &nodes {
        node.is_coherent_in_session(2).await;
        assert!(node.users.is_empty());
        assert_eq!(node.registry.stats().resumed, 0);
        node.load(1).await;
    }
    nodes[0].evict(1).await;
    eventually(DEADLINE, || nodes[1].users.is_empty()).await;
}
