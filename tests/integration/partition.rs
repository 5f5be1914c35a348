//! R6 past the lease: what becomes of a cache while its node does not hear the others.

use std::time::Duration;

use cachesync::{
    Cache, CacheConfig, Coherence, ManualClock, OnPartition, Registry, UnknownCaches, memory::MemoryBackend,
};
use cachesync_tests::{faulty::FaultyBackend, wait::eventually};

use crate::nodes::{DEADLINE, load, node};

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

#[tokio::test]
async fn the_policy_of_an_unknown_cache_cannot_be_changed() {
    let registry = node().start().await.unwrap();
    let error = registry.set_on_partition_of("user", OnPartition::ServeStale).unwrap_err();
    assert!(error.is_unknown_cache());
    assert!(error.to_string().contains("`users`"), "{error}");
}
