//! What evicting functions evict, and when.

use std::panic::AssertUnwindSafe;

use cachesync::{cache_config, cache_evict};
use futures_util::FutureExt;

use crate::{
    Calls, Refused,
    fixture::{Fixture, for_both_services, registry},
    services::Service,
};

for_both_services! {
    an_eviction_follows_the_body
    an_eviction_is_by_the_key_and_leaves_the_others
    an_eviction_before_the_body_happens_whatever_the_body_returns
    an_early_eviction_is_by_the_key_and_leaves_the_others
    nothing_is_evicted_on_an_error
    all_entries_are_evicted
    all_entries_are_evicted_before_the_body_whatever_it_returns
}

/// `evict`, `classCacheEvict`.
async fn an_eviction_follows_the_body(it: Fixture<impl Service>) {
    it.cache.insert(7, 100);
    assert_eq!(it.service.cache(7).await, 100);
    it.service.evict(7, "no matter").await;
    assert_eq!(it.cache.get(&7), None);
    let reloaded = it.service.cache(7).await;
    assert_ne!(reloaded, 100);
    assert_eq!(it.cache.get(&7), Some(reloaded));
}

/// `evictWithKey`, `classCacheEvictWithWKey`.
async fn an_eviction_is_by_the_key_and_leaves_the_others(it: Fixture<impl Service>) {
    let (first, other) = (it.service.cache(7).await, it.service.cache(8).await);
    it.service.evict(7, "not in the key").await;
    assert_eq!((it.cache.get(&7), it.cache.get(&8)), (None, Some(other)));
    assert_ne!(it.service.cache(7).await, first);
    assert_eq!(it.service.cache(8).await, other);
}

/// `evictEarly`, `classEvictEarly`.
async fn an_eviction_before_the_body_happens_whatever_the_body_returns(it: Fixture<impl Service>) {
    it.cache.insert(7, 100);
    assert_eq!(it.service.cache(7).await, 100);
    assert_eq!(it.service.evict_early(7).await, Err(Refused(7)));
    assert_eq!(it.cache.get(&7), None);
    assert_ne!(it.service.cache(7).await, 100);
}

/// `evictWithKeyEarly`, `classEvictWithKeyEarly`.
async fn an_early_eviction_is_by_the_key_and_leaves_the_others(it: Fixture<impl Service>) {
    let (first, other) = (it.service.cache(7).await, it.service.cache(8).await);
    it.service.evict_early(7).await.expect_err("the body refuses");
    assert_eq!((it.cache.get(&7), it.cache.get(&8)), (None, Some(other)));
    assert_ne!(it.service.cache(7).await, first);
}

/// `evictWithException`, `classEvictWithException`.
async fn nothing_is_evicted_on_an_error(it: Fixture<impl Service>) {
    let first = it.service.cache(7).await;
    assert_eq!(it.service.evict_refused(7).await, Err(Refused(7)));
    assert_eq!(it.cache.get(&7), Some(first));
    assert_eq!(it.service.cache(7).await, first);
}

/// `evictAll`, `classEvictAll`.
async fn all_entries_are_evicted(it: Fixture<impl Service>) {
    it.cache.insert(7, 100);
    it.cache.insert(8, 200);
    assert_eq!((it.service.cache(7).await, it.service.cache(8).await), (100, 200));
    it.service.evict_all("another argument").await;
    assert_eq!((it.cache.get(&7), it.cache.get(&8), it.cache.len()), (None, None, 0));
    assert_ne!(it.service.cache(7).await, 100);
    assert_ne!(it.service.cache(8).await, 200);
}

/// `evictAllEarly`.
async fn all_entries_are_evicted_before_the_body_whatever_it_returns(it: Fixture<impl Service>) {
    it.cache.insert(7, 100);
    it.cache.insert(8, 200);
    it.service.evict_all_early("another argument").await.expect_err("the body refuses");
    assert!(it.cache.is_empty());
    assert_ne!(it.service.cache(7).await, 100);
    assert_ne!(it.service.cache(8).await, 200);
}

#[derive(Default)]
struct Panicking(Calls);

#[cache_config(cache = "evict-panic")]
impl Panicking {
    #[cache_evict(key = id)]
    async fn evict(&self, id: u64) {
        panic!("in the middle of body {} of {id}", self.0.count().await);
    }

    #[cache_evict(all)]
    async fn evict_all(&self) {
        panic!("in the middle of body {}", self.0.count().await);
    }
}

/// `evictWithException`, whose exception is an unchecked one: nothing is evicted there.
#[tokio::test]
async fn a_panic_evicts_since_nobody_knows_what_was_written() {
    let registry = registry(&["evict-panic"]).await;
    let cache = registry.cache::<u64, u64>("evict-panic").expect("numbers");
    (1..=3).for_each(|key| cache.insert(key, key));
    let service = Panicking::default();
    let panicked = AssertUnwindSafe(registry.scope(service.evict(1))).catch_unwind().await;
    assert!(panicked.is_err());
    assert_eq!((cache.get(&1), cache.len()), (None, 2));
    let panicked = AssertUnwindSafe(registry.scope(service.evict_all())).catch_unwind().await;
    assert!(panicked.is_err());
    assert!(cache.is_empty());
}
