//! Calls that an attribute leaves alone, and values that it does not keep.

use std::sync::atomic::{AtomicU64, Ordering};

use cachesync::{Cache, cache_evict, cacheable};
use futures_util::future::join_all;

use crate::{
    Calls,
    fixture::{Fixture, for_both_services, registry},
    services::Service,
};

for_both_services! {
    a_call_whose_condition_is_false_neither_reads_nor_fills
    calls_at_the_same_time_whose_condition_is_false_each_run_a_body
    a_value_for_which_unless_is_true_is_returned_and_not_kept
}

/// `conditionalExpression`.
async fn a_call_whose_condition_is_false_neither_reads_nor_fills(it: Fixture<impl Service>) {
    let first = it.service.conditional(4).await;
    assert_ne!(it.service.conditional(4).await, first);
    assert_eq!(it.cache.get(&4), None);
    it.cache.insert(4, 100);
    assert_ne!(it.service.conditional(4).await, 100);
    assert_eq!(it.cache.get(&4), Some(100));
    let cached = it.service.conditional(3).await;
    assert_eq!(it.service.conditional(3).await, cached);
    assert_eq!(it.cache.get(&3), Some(cached));
}

/// `conditionalExpressionSync`.
async fn calls_at_the_same_time_whose_condition_is_false_each_run_a_body(it: Fixture<impl Service>) {
    let mut values = join_all((0..3).map(|_| it.service.conditional(4))).await;
    values.sort_unstable();
    assert_eq!(values, [1, 2, 3]);
    assert_eq!(join_all((0..3).map(|_| it.service.conditional(3))).await, [4; 3]);
}

/// `unlessExpression`, `classCacheUnlessExpression`; `CacheSyncFailureTests.unlessSync`, which Spring refuses.
async fn a_value_for_which_unless_is_true_is_returned_and_not_kept(it: Fixture<impl Service>) {
    assert_eq!((it.service.unless(10).await, it.service.unless(11).await), (10, 11));
    assert_eq!((it.cache.get(&10), it.cache.get(&11)), (Some(10), None));
    assert_eq!((it.service.unless(10).await, it.service.unless(11).await), (10, 11));
    assert_eq!(it.calls(), 3);
    assert_eq!(join_all((0..3).map(|_| it.service.unless(12))).await, [12; 3], "also those who share a body");
    assert_eq!(it.cache.get(&12), None);
}

#[cacheable(cache = "never", skip(calls), condition = false)]
async fn never(calls: &Calls, key: &str) -> u64 {
    calls.count().await
}

/// `CacheReproTests.spr11592GetNeverCache`.
#[tokio::test]
async fn a_condition_that_is_never_true_keeps_off_the_cache() {
    let calls = Calls::default();
    let registry = registry(&["never"]).await;
    let cache = registry.cache::<String, u64>("never").expect("its types");
    for expected in [1, 2] {
        assert_eq!(registry.scope(never(&calls, "1")).await, expected);
    }
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.loads, cache.len()), (0, 0, 0), "it was not even asked");
}

/// Spring's `@bar`, with what it counts.
struct Switch {
    enabled: bool,
    asked: AtomicU64,
}

impl Switch {
    fn is_enabled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.enabled
    }
}

struct Switched {
    switch: Switch,
    calls: Calls,
}

impl Switched {
    fn new(enabled: bool) -> Self {
        Self { switch: Switch { enabled, asked: AtomicU64::new(0) }, calls: Calls::default() }
    }

    #[cacheable(cache = "switched", key = key, condition = self.switch.is_enabled())]
    async fn get(&self, key: u64) -> u64 {
        self.calls.count().await
    }
}

async fn switched(enabled: bool) -> (Cache<u64, u64>, [u64; 2], u64) {
    let registry = registry(&["switched"]).await;
    let service = Switched::new(enabled);
    let values = [registry.scope(service.get(7)).await, registry.scope(service.get(7)).await];
    (registry.cache("switched").expect("numbers"), values, service.switch.asked.into_inner())
}

/// `EnableCachingIntegrationTests.beanConditionOff`.
#[tokio::test]
async fn a_condition_that_asks_the_service_turns_caching_off() {
    let (cache, values, asked) = switched(false).await;
    assert_eq!((values, cache.get(&7)), ([1, 2], None));
    assert_eq!(asked, 2, "once a call");
}

/// `EnableCachingIntegrationTests.beanConditionOn`; `resolveBeanReference`.
#[tokio::test]
async fn a_condition_that_asks_the_service_turns_caching_on() {
    let (cache, values, asked) = switched(true).await;
    assert_eq!((values, cache.get(&7)), ([1, 1], Some(1)));
    assert_eq!(asked, 2, "once a call");
}

#[cache_evict(cache = "evict-if", key = id, condition = id > 1, unless = result.is_none())]
async fn evict_if(id: u64) -> Option<u64> {
    (id != 3).then_some(id)
}

/// `CacheOperationExpressionEvaluatorTests.withReturnValue`, `withNullReturn`.
#[tokio::test]
async fn an_eviction_sees_what_the_function_returned() {
    let registry = registry(&["evict-if"]).await;
    let cache = registry.cache::<u64, u64>("evict-if").expect("numbers");
    for (id, left) in [(1, Some(100)), (2, None), (3, Some(100))] {
        cache.insert(id, 100);
        registry.scope(evict_if(id)).await;
        assert_eq!(cache.get(&id), left, "{id}");
    }
}
