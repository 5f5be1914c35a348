//! R1, R2 and R6 for puts: nothing of them is kept during a hold, or past the lease.

use std::{future::ready, time::Duration};

use cachesync::{
    Cache, CacheConfig, ManualClock, Registry, Transaction, UnknownCaches, cache_put, memory::MemoryBackend,
};
use cachesync_tests::{
    gate::Gate,
    wait::{DEADLINE, eventually},
};

use crate::nodes::{Node, SETTLE, begun, behind, cache, clocked, end};

#[cache_put(cache = "put-held", key = id, tags = ["numbers"], registry = registry)]
async fn put(registry: &Registry, id: u64, body: impl Future<Output = u64>) -> u64 {
    _ = id;
    body.await
}

#[cache_put(cache = "put-held", key = *result % 10, tags = ["numbers"], registry = registry)]
async fn put_by_result(registry: &Registry, body: impl Future<Output = u64>) -> u64 {
    body.await
}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "put-held")
}

/// It began after the eviction, so that has not overtaken it. But what is in doubt may be committed at any moment, also
/// after it, and then its value is an old one.
#[tokio::test]
async fn a_put_whose_key_is_in_the_result_is_not_kept_during_a_hold() {
    let (registry, clock) = clocked(&["put-held"]).await;
    let ours = numbers(&registry);
    for held in ["key", "tag", "all"] {
        ours.insert(1, 1);
        let transaction = Transaction::begin();
        let evict = async {
            match held {
                "key" => ours.evict(&1),
                "tag" => ours.evict_tag("numbers"),
                _ => ours.evict_all(),
            }
        };
        transaction.scope(evict).await;
        transaction.commit_with(ready(Err("nobody knows"))).await.expect_err("nobody knows");
        put_by_result(&registry, ready(11)).await;
        assert_eq!(ours.get(&1), None, "{held}");
        clock.advance(SETTLE);
        put_by_result(&registry, ready(21)).await;
        assert_eq!(ours.get(&1), Some(21), "{held}");
    }
}

/// The machine sleeps in the middle of the body. The session survives that, so nothing is cleared, and what were kept then
/// would be served.
#[tokio::test(start_paused = true)]
async fn a_put_that_ends_past_the_lease_is_not_kept() {
    const LEASE: Duration = Duration::from_secs(10);
    for by_result in [false, true] {
        let clock = ManualClock::new();
        let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(CacheConfig::new("put-held"));
        let here = Node::on(&MemoryBackend::new(), builder.lease(LEASE).clock(clock.clone())).await;
        let ours = numbers(&here.registry);
        ours.insert(1, 1);
        eventually(DEADLINE, || here.registry.stats().frames_sent > 0).await;
        let gate = Gate::new();
        let body = behind(&gate, 11);
        let putting = async {
            if by_result { put_by_result(&here.registry, body).await } else { put(&here.registry, 1, body).await }
        };
        let putting = begun(putting).await;
        here.backend.take_messages(false);
        clock.suspend(LEASE);
        assert_eq!(end(&gate, putting).await, 11);
        assert_eq!(ours.len(), 0, "neither the old value nor the new one (by result: {by_result})");

        here.backend.take_messages(true);
        eventually(DEADLINE, || here.registry.status().lease_left > Some(Duration::ZERO)).await;
        assert_eq!((ours.get(&1), ours.stats().cleared), (None, 0), "by result: {by_result}");
        put(&here.registry, 1, ready(21)).await;
        assert_eq!(ours.get(&1), Some(21), "by result: {by_result}");
    }
}
