//! R6 past the lease: what becomes of a cache while its node does not hear the others.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cachesync::{
    Cache, CacheConfig, Coherence, ManualClock, OnPartition, Registry, Transaction, UnknownCaches, cacheable,
    memory::MemoryBackend,
};
use cachesync_tests::{faulty::FaultyBackend, gate::Gate, wait::eventually};
use tokio::task::JoinHandle;

use crate::nodes::{DEADLINE, alone, load, node, settled};

/// The lease of all nodes here.
const LEASE: Duration = Duration::from_secs(10);

/// A node with the caches `users` and `others`, whose lease ends when the test says so.
struct Cut {
    registry: Registry,
    users: Cache<u64, String>,
    backend: FaultyBackend,
    clock: ManualClock,
}

impl Cut {
    async fn with(config: CacheConfig, on_partition: OnPartition) -> Self {
        let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
        let registry = Registry::builder()
            .namespace("test")
            .cache(config)
            .cache(CacheConfig::new("others"))
            .unknown_caches(UnknownCaches::Bypass)
            .on_partition(on_partition)
            .lease(LEASE)
            .backend(backend.clone())
            .clock(clock.clone())
            .start()
            .await
            .unwrap();
        let users = registry.cache("users").unwrap();
        Self { registry, users, backend, clock }
    }

    /// Loses the session.
    async fn lose(&self) {
        self.backend.refuse(Some("the test says so"));
        self.backend.cut();
        eventually(DEADLINE, || matches!(self.registry.status().coherence, Coherence::Suspect { .. })).await;
    }

    /// Loses the session, and lets the lease run out.
    async fn partition(&self) {
        self.lose().await;
        self.clock.advance(LEASE);
        assert!(matches!(self.registry.status().coherence, Coherence::Partitioned { .. }));
    }

    /// Has a session again.
    async fn heal(&self) {
        self.backend.refuse(None);
        eventually(DEADLINE, || matches!(self.registry.status().coherence, Coherence::Coherent { .. })).await;
    }
}

#[tokio::test]
async fn who_serves_stale_values_serves_and_keeps_past_the_lease_and_is_cleared_as_ever() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::ServeStale).await;
    load(&here.users, 1, "old").await;
    here.partition().await;
    here.clock.advance(LEASE * 1_000);
    assert_eq!(here.users.get(&1).as_deref(), Some("old"));
    assert_eq!(load(&here.users, 2, "loaded past the lease").await, "loaded past the lease");
    assert_eq!(here.users.get(&2).as_deref(), Some("loaded past the lease"));
    here.users.insert(3, "put".into());
    assert_eq!(here.users.get(&3).as_deref(), Some("put"));
    here.users.evict(&1);
    assert_eq!(here.users.get(&1), None, "its own evictions apply");

    here.heal().await;
    assert_eq!((here.users.len(), here.users.stats().cleared), (0, 1));
}

#[tokio::test]
async fn entries_expire_past_the_lease_too() {
    let here = Cut::with(CacheConfig::new("users").ttl(LEASE * 2), OnPartition::ServeStale).await;
    load(&here.users, 1, "old").await;
    here.partition().await;
    assert_eq!(here.users.get(&1).as_deref(), Some("old"));
    here.clock.advance(LEASE);
    assert_eq!(here.users.get(&1), None);
}

#[tokio::test]
async fn nobody_serves_stale_values_after_the_end_of_the_registry() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::ServeStale).await;
    load(&here.users, 1, "old").await;
    here.partition().await;
    here.registry.shutdown().await.unwrap();
    here.registry.set_on_partition(OnPartition::ServeStale);
    here.registry.set_on_partition_of("users", OnPartition::ServeStale).unwrap();
    assert_eq!(load(&here.users, 1, "new").await, "new");
    assert_eq!(load(&here.users, 1, "newer").await, "newer");
}

#[tokio::test]
async fn a_lazy_start_that_serves_stale_values_caches_before_its_first_session() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    backend.refuse(Some("nobody is there"));
    let registry = node().on_partition(OnPartition::ServeStale).backend(backend.clone()).start_lazy().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "early").await;
    assert_eq!(users.get(&1).as_deref(), Some("early"));
    backend.refuse(None);
    eventually(DEADLINE, || matches!(registry.status().coherence, Coherence::Coherent { .. })).await;
    assert_eq!(users.get(&1), None, "what was missed is not known");
}

#[tokio::test]
async fn a_cache_has_the_policy_of_its_own_else_that_of_its_registry_and_both_can_change() {
    let own = CacheConfig::new("users").on_partition(OnPartition::ServeStale);
    let here = Cut::with(own, OnPartition::Bypass).await;
    let others = here.registry.cache::<u64, String>("others").unwrap();
    load(&here.users, 1, "old").await;
    load(&others, 1, "old").await;
    here.partition().await;
    let serve = || (here.users.get(&1).is_some(), others.get(&1).is_some());
    assert_eq!(serve(), (true, false));

    here.registry.set_on_partition(OnPartition::ServeStale);
    assert_eq!(serve(), (true, true));
    here.registry.set_on_partition(OnPartition::Bypass);
    assert_eq!(serve(), (true, false));
    here.registry.set_on_partition_of("users", OnPartition::Bypass).unwrap();
    assert_eq!(serve(), (false, false));
    here.registry.set_on_partition(OnPartition::ServeStale);
    assert_eq!(serve(), (false, true), "it has a policy of its own");
    here.registry.set_on_partition_of("users", None).unwrap();
    assert_eq!(serve(), (true, true));
    let policies = here.registry.describe().caches.into_iter().map(|cache| cache.on_partition);
    assert!(policies.eq([OnPartition::ServeStale; 2]));
    // Kept in the one session that was lost: the end of the partition clears whatever the policies are by then.
    here.heal().await;
    assert_eq!(serve(), (false, false));
}

/// Callers of keys of one cache, whose loads stop at a gate and are counted.
struct Callers {
    users: Cache<u64, String>,
    gate: Gate,
    runs: Arc<AtomicUsize>,
}

impl Callers {
    fn of(users: &Cache<u64, String>) -> Self {
        Self { users: users.clone(), gate: Gate::new(), runs: Arc::default() }
    }

    /// Starts one more caller, and waits until it can go no further.
    async fn add(&self, value: &str) -> JoinHandle<String> {
        let (users, gate, runs, value) = (self.users.clone(), self.gate.clone(), self.runs.clone(), value.to_owned());
        let caller = tokio::spawn(async move {
            let body = async || {
                runs.fetch_add(1, SeqCst);
                gate.pass().await;
                value
            };
            users.get_with(1, body).await
        });
        settled().await;
        caller
    }

    fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }
}

#[tokio::test]
async fn past_the_lease_callers_share_a_load_and_nothing_of_it_is_kept() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.partition().await;
    let callers = Callers::of(&here.users);
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(callers.add("shared").await);
    }
    callers.gate.let_through(1);
    for caller in all {
        assert_eq!(caller.await.unwrap(), "shared");
    }
    assert_eq!((callers.runs(), here.users.len()), (1, 0));
    let stats = here.users.stats();
    assert_eq!((stats.loads, stats.not_kept, stats.shared), (1, 1, 9));

    here.heal().await;
    assert_eq!(here.users.get(&1), None);
}

#[tokio::test]
async fn past_the_lease_a_load_as_old_as_the_lease_is_not_shared() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.partition().await;
    let callers = Callers::of(&here.users);
    let old = callers.add("old").await;
    let instant = Duration::from_nanos(1);
    here.clock.advance(LEASE.saturating_sub(instant));
    let young = callers.add("young").await;
    assert_eq!(callers.runs(), 1, "the first is younger than the lease");
    here.clock.advance(instant);
    let new = callers.add("new").await;
    let joins = callers.add("never").await;
    assert_eq!(callers.runs(), 2, "the first is too old, the next to come is joined in its place");
    callers.gate.let_through(2);
    let answers = [old.await.unwrap(), young.await.unwrap(), new.await.unwrap(), joins.await.unwrap()];
    assert_eq!(answers, ["old", "old", "new", "new"]);
}

#[tokio::test]
async fn a_load_that_began_within_the_lease_is_shared_past_it_while_it_is_young() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.lose().await;
    here.clock.advance(LEASE / 2);
    let callers = Callers::of(&here.users);
    let first = callers.add("first").await;
    here.clock.advance(LEASE / 2);
    assert!(matches!(here.registry.status().coherence, Coherence::Partitioned { .. }));
    let joins = callers.add("never").await;
    here.clock.advance(LEASE / 2);
    let second = callers.add("second").await;
    assert_eq!(callers.runs(), 2);
    callers.gate.let_through(2);
    let answers = [first.await.unwrap(), joins.await.unwrap(), second.await.unwrap()];
    assert_eq!(answers, ["first", "first", "second"]);
}

#[tokio::test]
async fn past_the_lease_an_eviction_of_this_node_ends_the_sharing_of_loads_before_it() {
    for how in ["key", "all", "insert"] {
        let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
        here.partition().await;
        let callers = Callers::of(&here.users);
        let before = callers.add("before").await;
        match how {
            "key" => here.users.evict(&1),
            "all" => here.users.evict_all(),
            _ => here.users.insert(1, "after".into()),
        }
        let after = callers.add("after").await;
        assert_eq!(callers.runs(), 2, "{how}");
        callers.gate.let_through(2);
        assert_eq!((before.await.unwrap(), after.await.unwrap()), ("before".into(), "after".into()), "{how}");
    }
}

#[tokio::test]
async fn a_load_from_before_a_session_is_back_is_neither_kept_nor_joined_after_it() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.partition().await;
    let callers = Callers::of(&here.users);
    let before = callers.add("before").await;
    here.heal().await;
    let after = callers.add("after").await;
    assert_eq!(callers.runs(), 2);
    callers.gate.let_through(2);
    assert_eq!((before.await.unwrap(), after.await.unwrap()), ("before".into(), "after".into()));
    assert_eq!(here.users.get(&1).as_deref(), Some("after"));
}

/// The database may commit at any moment: who comes after that must not get what somebody read before it.
#[tokio::test]
async fn during_a_hold_nobody_joins_a_load_and_nothing_is_kept() {
    let (registry, users) = alone().await;
    let transaction = Transaction::begin();
    transaction.scope(async { users.evict(&1) }).await;
    transaction.commit_with(async { Err::<(), _>("nobody knows") }).await.unwrap_err();
    let callers = Callers::of(&users);
    let (before, after) = (callers.add("before").await, callers.add("after").await);
    assert_eq!(callers.runs(), 2);
    callers.gate.let_through(2);
    assert_eq!([before.await.unwrap(), after.await.unwrap()], ["before", "after"]);
    assert_eq!(users.len(), 0);
    drop(registry);
}

#[tokio::test]
async fn past_the_lease_those_who_wait_for_a_load_that_fails_or_is_cancelled_go_on() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.partition().await;
    let callers = Callers::of(&here.users);
    let (leads, joins) = (callers.add("never").await, callers.add("joined").await);
    leads.abort();
    settled().await;
    assert_eq!(callers.runs(), 2);
    callers.gate.let_through(1);
    assert_eq!(joins.await.unwrap(), "joined");
}

#[tokio::test]
async fn past_the_lease_a_batch_shares_too_and_policies_of_what_is_kept_are_not_asked() {
    fn asked(value: &str) -> bool {
        panic!("asked for {value}");
    }
    #[cacheable(cache = "users", keys = ids, unless = asked(result), registry = registry)]
    async fn batch(registry: &Registry, gate: &Gate, ids: &[u64]) -> HashMap<u64, String> {
        gate.pass().await;
        ids.iter().map(|id| (*id, format!("{id} of a batch"))).collect()
    }
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.partition().await;
    let callers = Callers::of(&here.users);
    let (registry, gate) = (here.registry.clone(), callers.gate.clone());
    let many = tokio::spawn(async move { batch(&registry, &gate, &[1, 2]).await });
    settled().await;
    let joins = callers.add("never").await;
    callers.gate.let_through(1);
    assert_eq!((many.await.unwrap().len(), joins.await.unwrap().as_str()), (2, "1 of a batch"));
    assert_eq!((callers.runs(), here.users.len()), (0, 0));
}

#[tokio::test]
async fn a_machine_that_was_suspended_serves_nothing_before_a_new_heartbeat_has_come_back() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    load(&here.users, 1, "old").await;
    eventually(DEADLINE, || here.registry.stats().frames_sent > 0).await;
    // No task of the registry runs between this and the next await: as if the machine had just woken up.
    here.backend.take_messages(false);
    here.clock.suspend(LEASE.saturating_sub(Duration::from_nanos(1)));
    assert_eq!(here.users.get(&1).as_deref(), Some("old"));
    here.clock.suspend(Duration::from_nanos(1));
    assert_eq!(here.users.get(&1), None);
    let status = here.registry.status();
    assert!(matches!(status.coherence, Coherence::Partitioned { .. }), "{status:?}");
    assert_eq!(status.lease_left, Some(Duration::ZERO));

    // The session has survived, so nothing was missed and nothing is cleared.
    here.backend.take_messages(true);
    eventually(DEADLINE, || here.users.get(&1).is_some()).await;
    assert_eq!((here.registry.stats().sessions, here.users.stats().cleared), (1, 0));
}

#[tokio::test]
async fn a_load_grows_older_while_the_machine_is_suspended() {
    let here = Cut::with(CacheConfig::new("users"), OnPartition::Bypass).await;
    here.partition().await;
    let callers = Callers::of(&here.users);
    let old = callers.add("old").await;
    here.clock.suspend(LEASE);
    let new = callers.add("new").await;
    callers.gate.let_through(2);
    assert_eq!((old.await.unwrap(), new.await.unwrap()), ("old".into(), "new".into()));
}

#[tokio::test]
async fn the_policy_of_an_unknown_cache_cannot_be_changed() {
    let registry = node().start().await.unwrap();
    let error = registry.set_on_partition_of("user", OnPartition::ServeStale).unwrap_err();
    assert!(error.is_unknown_cache());
    assert!(error.to_string().contains("`users`"), "{error}");
}
