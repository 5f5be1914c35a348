//! A service on several nodes, over a table with one row, and how old what it reads is.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cachesync::{Cache, CacheConfig, Coherence, Registry, Transaction, amqp::AmqpBackend};
use cachesync_tests::{
    broker::Cluster,
    wait::{eventually, within},
};
use tokio::{sync::MutexGuard, task::JoinHandle};

/// Within this time everything happens that happens at all, however busy the machine is.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

/// The lease of all nodes.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

/// What a busy machine may add to any bound: between the moment of a read and that of its judgement other tasks run.
pub(crate) const SLACK: Duration = Duration::from_millis(500);

const KEY: u64 = 1;

/// The cluster, whole; nobody else has it meanwhile.
pub(crate) async fn cluster() -> (MutexGuard<'static, ()>, &'static Cluster) {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let turn = TURN.lock().await;
    let cluster = CLUSTER.get_or_init(Cluster::start);
    cluster.restore();
    (turn, cluster)
}

/// The backend of a node that uses the brokers at these URLs.
pub(crate) fn backend<'a>(urls: impl IntoIterator<Item = &'a str>) -> AmqpBackend {
    let backend = AmqpBackend::cluster(urls).expect("good URLs");
    let second = Duration::from_secs(1);
    backend.connect_timeout(6 * second).publish_timeout(2 * second).close_timeout(second)
}

/// The row, as the numbers of its versions; and when each version's eviction was confirmed.
#[derive(Debug, Default)]
struct Row {
    committed: AtomicU64,
    confirmed: Mutex<Vec<Option<Instant>>>,
}

impl Row {
    fn commit(&self) -> usize {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.push(None);
        self.committed.store(confirmed.len() as u64, Ordering::SeqCst);
        confirmed.len() - 1
    }

    fn confirm(&self, index: usize) {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(Instant::now());
    }

    /// For how long `version`, read at `moment`, had been stale: since when the eviction of a newer one was confirmed.
    fn staleness(&self, version: u64, moment: Instant) -> Duration {
        let confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = confirmed.iter().skip(usize::try_from(version).expect("few versions")).flatten();
        newer.map(|confirmed| moment.saturating_duration_since(*confirmed)).max().unwrap_or_default()
    }
}

/// A node that reads all the time.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) registry: Registry,
    cache: Cache<u64, u64>,
    row: Arc<Row>,
    reading: Arc<Reading>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Reading {
    reads: AtomicU64,
    /// In milliseconds.
    oldest: AtomicU64,
}

impl Node {
    async fn start(backend: AmqpBackend, namespace: &str, row: &Arc<Row>) -> Self {
        let registry = Registry::builder()
            .namespace(namespace)
            .cache(CacheConfig::new("rows"))
            .heartbeat(Duration::from_millis(500))
            .lease(LEASE)
            .backend(backend)
            // A busy machine may take longer than a session is given.
            .start_lazy();
        let registry = within(DEADLINE, registry).await.expect("it starts without brokers");
        eventually(DEADLINE, || matches!(registry.status().coherence, Coherence::Coherent { .. })).await;
        let cache: Cache<u64, u64> = registry.cache("rows").expect("configured");
        let reading = Arc::new(Reading::default());
        let task = tokio::spawn(read(cache.clone(), Arc::clone(row), Arc::clone(&reading)));
        Self { registry, cache, row: Arc::clone(row), reading, task }
    }

    /// Commits a new version and tells the others. The task ends when that was confirmed.
    pub(crate) fn write(&self) -> JoinHandle<()> {
        let transaction = Transaction::begin();
        let version = self.row.commit();
        let pending = transaction.scope(async { self.cache.evict(&KEY) });
        futures_util::FutureExt::now_or_never(pending).expect("an eviction does not wait");
        let committed = transaction.commit();
        let row = Arc::clone(&self.row);
        tokio::spawn(async move {
            within(2 * DEADLINE, committed.confirmed()).await.expect("confirmed in the end");
            row.confirm(version);
        })
    }

    /// Writes, and waits for the confirmation.
    pub(crate) async fn write_confirmed(&self) {
        within(DEADLINE, self.write()).await.expect("confirmed");
    }

    pub(crate) fn is_coherent(&self) -> bool {
        matches!(self.registry.status().coherence, Coherence::Coherent { .. })
    }

    pub(crate) fn is_partitioned(&self) -> bool {
        matches!(self.registry.status().coherence, Coherence::Partitioned { .. })
    }

    /// Whether what it serves is what is committed.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.cache.get(&KEY).is_none_or(|version| version == self.row.committed.load(Ordering::SeqCst))
    }

    /// Whether what is committed is in its memory.
    pub(crate) fn holds_the_newest(&self) -> bool {
        self.cache.get(&KEY) == Some(self.row.committed.load(Ordering::SeqCst))
    }

    pub(crate) fn hits(&self) -> u64 {
        self.cache.stats().hits
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.registry.stats().sessions
    }

    /// For how long the most stale thing that it has read was so, since this was asked by [`Self::oldest_read`].
    pub(crate) fn oldest_so_far(&self) -> Duration {
        Duration::from_millis(self.reading.oldest.load(Ordering::SeqCst))
    }

    /// For how long the most stale thing that it has read since the last call was so.
    pub(crate) fn oldest_read(&self) -> Duration {
        assert!(self.reading.reads.swap(0, Ordering::SeqCst) > 0, "it reads");
        Duration::from_millis(self.reading.oldest.swap(0, Ordering::SeqCst))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(cache: Cache<u64, u64>, row: Arc<Row>, reading: Arc<Reading>) {
    loop {
        let moment = Instant::now();
        let version = cache.get_with(&KEY, async || row.committed.load(Ordering::SeqCst)).await;
        let staleness = u64::try_from(row.staleness(version, moment).as_millis()).expect("not for ages");
        reading.oldest.fetch_max(staleness, Ordering::SeqCst);
        reading.reads.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Nodes of one service, in a namespace that no other test has.
#[derive(Debug)]
pub(crate) struct Service {
    namespace: String,
    row: Arc<Row>,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self { namespace: format!("test-{:016x}", rand::random::<u64>()), row: Arc::default() }
    }

    pub(crate) async fn node(&self, backend: AmqpBackend) -> Node {
        Node::start(backend, &self.namespace, &self.row).await
    }
}

/// Waits until every node hears the others, and what is written on any of them.
pub(crate) async fn all_well(nodes: &[&Node]) {
    for node in nodes {
        eventually(DEADLINE, || node.is_coherent()).await;
    }
    for writer in nodes {
        writer.write_confirmed().await;
        for node in nodes {
            eventually(DEADLINE, || node.is_up_to_date()).await;
        }
    }
}

/// Fails if one of the nodes has read what had been stale for longer than `bound`.
pub(crate) fn stale_for_at_most(bound: Duration, nodes: &[&Node]) {
    let oldest: Vec<_> = nodes.iter().map(|node| node.oldest_read()).collect();
    // For who wants to know how near it came.
    println!("stale for at most {oldest:?}, where {bound:?} is allowed");
    assert!(oldest.iter().all(|oldest| *oldest <= bound + SLACK), "{oldest:?}");
}
