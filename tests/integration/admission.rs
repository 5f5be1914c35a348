//! How many loads of a cache run at the same time, and that nobody waits for ever to be admitted.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cachesync::{Cache, CacheConfig, Coherence, Registry, Transaction, cacheable};
use cachesync_tests::{gate::Gate, wait::eventually};
use tokio::{task::JoinHandle, time::Instant};

use crate::nodes::{DEADLINE, Node, load, only, settled};

const LOAD_WAIT: Duration = Duration::from_secs(5);

/// A cache with a limit, and loads that stop at a gate and are counted.
#[derive(Clone)]
struct Limited {
    registry: Registry,
    users: Cache<u64, String>,
    gate: Gate,
    runs: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// Counts down when a body ends, however it does.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Limited {
    async fn to(loads: usize) -> Self {
        let registry = only(CacheConfig::new("users").max_concurrent_loads(loads).load_wait(LOAD_WAIT)).await;
        Self::of(registry)
    }

    fn of(registry: Registry) -> Self {
        let users = registry.cache("users").unwrap();
        Self { registry, users, gate: Gate::new(), runs: Arc::default(), now: Arc::default(), most: Arc::default() }
    }

    async fn run<T>(&self, body: impl Future<Output = T>) -> T {
        self.runs.fetch_add(1, SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        let _running = Running(&self.now);
        body.await
    }

    async fn get(&self, key: u64) -> String {
        let body = || async {
            self.run(self.gate.pass()).await;
            key.to_string()
        };
        self.users.get_with(key, body).await
    }

    fn caller(&self, key: u64) -> JoinHandle<String> {
        let this = self.clone();
        tokio::spawn(async move { this.get(key).await })
    }

    fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }

    /// Nothing is left of those who were admitted.
    async fn assert_free(&self) {
        let start = Instant::now();
        self.gate.let_through(1);
        self.get(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "somebody was admitted and has not left");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_loads_run_at_the_same_time_than_are_admitted() {
    let limited = Limited::to(3).await;
    let callers: Vec<_> = (0..50).map(|key| limited.caller(key)).collect();
    settled().await;
    assert_eq!(limited.runs(), 3);
    limited.gate.let_through(50);
    for (key, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap(), key.to_string());
    }
    assert_eq!((limited.runs(), limited.most.load(SeqCst)), (50, 3));
    assert_eq!(limited.users.len(), 50, "who had to wait keeps its value");
    limited.assert_free().await;
}

#[tokio::test]
async fn what_a_reconnect_has_cleared_is_not_loaded_all_at_once() {
    let here = Node::on(&cachesync::memory::MemoryBackend::new()).await;
    for key in 0..2_000 {
        load(&here.users, key, "old").await;
    }
    here.backend.cut();
    eventually(DEADLINE, || here.users.stats().cleared == 1).await;
    assert!(matches!(here.registry.status().coherence, Coherence::Coherent { .. }));
    let limited = Limited::of(here.registry.clone());
    let callers: Vec<_> = (0..2_000).map(|key| limited.caller(key)).collect();
    settled().await;
    assert_eq!(limited.runs(), 256, "the default");
    limited.gate.let_through(2_000);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(limited.most.load(SeqCst), 256);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_has_waited_for_load_wait_loads_all_the_same_and_keeps_the_value() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let start = Instant::now();
    let second = limited.caller(2);
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), LOAD_WAIT);
    limited.gate.let_through(2);
    assert_eq!((stuck.await.unwrap(), second.await.unwrap()), ("1".into(), "2".into()));
    assert_eq!(limited.users.get(&2).as_deref(), Some("2"));
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_load_that_has_to_wait_do_not_all_become_loads() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let callers: Vec<_> = (0..10).map(|_| limited.caller(2)).collect();
    // One of them leads, and is not admitted before its time is over. The others have patience with it.
    limited.gate.reached_by(1).await;
    tokio::time::sleep(LOAD_WAIT / 2).await;
    assert_eq!(limited.runs(), 2);
    limited.gate.let_through(2);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "2");
    }
    stuck.await.unwrap();
    assert_eq!(limited.users.stats().shared, 9);
}

#[tokio::test(start_paused = true)]
async fn what_a_load_asks_for_of_its_own_cache_needs_no_second_admission() {
    let limited = Limited::to(1).await;
    let start = Instant::now();
    limited.gate.let_through(1);
    let outer = limited.users.get_with(1, || limited.run(async { format!("1 of {}", limited.get(2).await) })).await;
    assert_eq!((outer.as_str(), start.elapsed()), ("1 of 2", Duration::ZERO));
    assert_eq!(limited.users.len(), 2, "both are kept");
}

#[tokio::test(start_paused = true)]
async fn a_load_does_not_wait_for_one_that_waits_for_its_own_end() {
    let limited = Limited::to(1).await;
    let (this, inside) = (limited.clone(), Gate::new());
    let (outer_gate, start) = (inside.clone(), Instant::now());
    let outer = tokio::spawn(async move {
        let body = || async {
            outer_gate.pass().await;
            format!("1 of {}", this.get(2).await)
        };
        this.users.get_with(1, body).await
    });
    inside.reached_by(1).await;
    let waiting = limited.caller(2);
    settled().await;
    assert_eq!(limited.runs(), 0, "it leads the load of its key, and is not admitted yet");
    inside.let_through(1);
    limited.gate.let_through(2);
    assert_eq!(outer.await.unwrap(), "1 of 2");
    assert_eq!(waiting.await.unwrap(), "2");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn inside_a_transaction_nobody_waits_to_be_admitted() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let start = Instant::now();
    let transaction = Transaction::read_only();
    let reader = async {
        let (answer, ()) = tokio::join!(limited.get(2), async {
            limited.gate.reached_by(1).await;
            limited.gate.let_through(2);
        });
        answer
    };
    assert_eq!(transaction.scope(reader).await, "2");
    assert_eq!(start.elapsed(), Duration::ZERO);
    stuck.await.unwrap();
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_function_does_not_wait_to_be_admitted() {
    #[cacheable(cache = "users", key = id, registry = registry)]
    fn plain(registry: &Registry, id: u64) -> String {
        _ = registry;
        id.to_string()
    }
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    assert_eq!(plain(&limited.registry, 2), "2");
    assert_eq!(limited.users.get(&2).as_deref(), Some("2"));
    limited.gate.let_through(1);
    stuck.await.unwrap();
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_cancelled_or_panics_makes_room_for_the_next() {
    let limited = Limited::to(1).await;
    let running = limited.caller(1);
    limited.gate.reached_by(1).await;
    let (leads, joins) = (limited.caller(2), limited.caller(2));
    settled().await;
    leads.abort();
    settled().await;
    assert_eq!(limited.runs(), 1, "the next to lead waits to be admitted in its place");
    running.abort();
    limited.gate.reached_by(1).await;
    limited.gate.let_through(1);
    assert_eq!(joins.await.unwrap(), "2");

    let users = limited.users.clone();
    let panics = tokio::spawn(async move { users.get_with(3, async || panic!("on purpose")).await });
    assert!(panics.await.unwrap_err().is_panic());
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_load_and_waits_as_others_do() {
    #[cacheable(cache = "users", keys = ids, registry = limited.registry)]
    async fn batch(limited: &Limited, ids: &[u64]) -> HashMap<u64, String> {
        limited.run(limited.gate.pass()).await;
        ids.iter().map(|id| (*id, id.to_string())).collect()
    }
    let limited = Limited::to(1).await;
    let single = limited.caller(1);
    limited.gate.reached_by(1).await;
    let this = limited.clone();
    let many = tokio::spawn(async move { batch(&this, &[2, 3, 4]).await });
    settled().await;
    assert_eq!(limited.runs(), 1);
    let joins = limited.caller(3);
    limited.gate.let_through(2);
    assert_eq!((single.await.unwrap(), many.await.unwrap().len()), ("1".into(), 3));
    assert_eq!(joins.await.unwrap(), "3");
    assert_eq!((limited.runs(), limited.most.load(SeqCst)), (2, 1));
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_the_registry_nobody_waits_to_be_admitted() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    limited.registry.shutdown().await.unwrap();
    let start = Instant::now();
    let second = limited.caller(2);
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    limited.gate.let_through(2);
    stuck.await.unwrap();
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_admitted_goes_on_when_the_registry_ends() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let (start, second) = (Instant::now(), limited.caller(2));
    settled().await;
    limited.registry.shutdown().await.unwrap();
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    limited.gate.let_through(2);
    stuck.await.unwrap();
    second.await.unwrap();
}

/// Otherwise all callers of one key that is held would stand in the way of every other key of the cache.
#[tokio::test(start_paused = true)]
async fn during_a_hold_callers_share_a_load_that_has_yet_to_begin() {
    let limited = Limited::to(1).await;
    let transaction = Transaction::begin();
    transaction.scope(async { limited.users.evict(&1) }).await;
    transaction.commit_with(async { Err::<(), _>("nobody knows") }).await.unwrap_err();
    let first = limited.caller(1);
    limited.gate.reached_by(1).await;
    let callers: Vec<_> = (0..100).map(|_| limited.caller(1)).collect();
    let another = limited.caller(2);
    settled().await;
    assert_eq!(limited.runs(), 1, "one runs, and nobody joins it; one waits for its turn, and the others for that one");

    limited.gate.let_through(1);
    limited.gate.reached_by(1).await;
    let late = limited.caller(1);
    settled().await;
    limited.gate.let_through(200);
    for caller in [first, late].into_iter().chain(callers) {
        assert_eq!(caller.await.unwrap(), "1");
    }
    another.await.unwrap();
    assert_eq!(limited.runs(), 4, "who came when the second had begun did not join it");
    assert_eq!((limited.users.get(&1), limited.users.get(&2).as_deref()), (None, Some("2")));
    limited.assert_free().await;
}
