//! When caching itself fails: what Spring has a `CacheErrorHandler` for. Here that is never the caller's error: it is
//! logged, and shown by the registry.

use std::sync::atomic::{AtomicU64, Ordering};

use cachesync::{CacheConfig, Registry, UnknownCaches, cache_evict, cache_put, cacheable, memory::MemoryBackend};
use cachesync_tests::{
    faulty::FaultyBackend,
    wait::{DEADLINE, within},
};
use serde::{Deserialize, Serialize, Serializer, ser::Error};

use crate::{Calls, Refused, fixture::registry};

/// A key that cannot leave the node, so that a cache of it cannot be kept coherent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
struct Unsendable(u64);

impl Serialize for Unsendable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no cache takes me"))
    }
}

#[cacheable(cache = "failing", key = Unsendable(id))]
async fn get(calls: &Calls, id: u64) -> u64 {
    calls.count().await
}

#[cacheable(cache = "failing", key = Unsendable(id))]
fn get_now(calls: &Calls, id: u64) -> u64 {
    calls.count_now()
}

#[cacheable(cache = "failing", key = Unsendable(id), cache_err = |_| true)]
async fn get_refused(calls: &Calls, id: u64) -> Result<u64, Refused> {
    Err(Refused(calls.count().await))
}

#[cache_put(cache = "failing", key = Unsendable(id))]
async fn put(calls: &Calls, id: u64) -> u64 {
    calls.count().await
}

#[cache_evict(cache = "failing", key = Unsendable(id))]
async fn evict(calls: &Calls, id: u64) -> u64 {
    calls.count().await
}

#[cache_evict(cache = "failing", all)]
async fn clear(calls: &Calls) -> u64 {
    calls.count().await
}

async fn failing() -> (Registry, Calls) {
    (registry(&["failing"]).await, Calls::default())
}

fn assert_shown(registry: &Registry) {
    let problems = registry.status().problems;
    assert!(problems.iter().any(|problem| problem.contains("failing")), "{problems:?}");
}

/// `CacheErrorHandlerTests`: `getFail`, `getSyncFail`, `getCompletableFutureFail`, `getMonoFail`, `getFluxFail`,
/// `getAndPutFail`; `JCacheErrorHandlerTests`: `getFail`, `getPutNewElementFail`;
/// `ReactiveCachingTests`: `cacheErrorHandlerWithLoggingCacheErrorHandler`, and that `AndSync`.
#[tokio::test]
async fn where_nothing_can_be_cached_bodies_run() {
    let (registry, calls) = failing().await;
    let work = async {
        assert_eq!((get(&calls, 7).await, get(&calls, 7).await), (1, 2));
        assert_eq!((get_now(&calls, 7), get_now(&calls, 7)), (3, 4));
    };
    registry.scope(work).await;
    assert!(registry.cache::<Unsendable, u64>("failing").expect("its types").is_empty());
    assert_shown(&registry);
}

/// `JCacheErrorHandlerTests.getFailPutExceptionFail`.
#[tokio::test]
async fn an_error_that_cannot_be_stored_reaches_the_caller() {
    let (registry, calls) = failing().await;
    for expected in [1, 2] {
        assert_eq!(registry.scope(get_refused(&calls, 7)).await, Err(Refused(expected)));
    }
    assert_shown(&registry);
}

/// `CacheErrorHandlerTests.putFail`, `JCacheErrorHandlerTests.putFail`.
#[tokio::test]
async fn a_put_that_cannot_be_stored_returns_its_value() {
    let (registry, calls) = failing().await;
    assert_eq!(registry.scope(put(&calls, 7)).await, 1);
    assert!(registry.cache::<Unsendable, u64>("failing").expect("its types").is_empty());
    assert_shown(&registry);
}

/// `CacheErrorHandlerTests`: `evictFail`, `clearFail`; `JCacheErrorHandlerTests`: `evictFail`, `clearFail`.
#[tokio::test]
async fn an_eviction_of_a_key_that_cannot_travel_returns_its_value() {
    let (registry, calls) = failing().await;
    assert_eq!(registry.scope(evict(&calls, 7)).await, 1);
    assert_eq!(registry.scope(clear(&calls)).await, 2);
}

#[cache_evict(cache = "broker-away", key = id)]
async fn evict_remotely(id: u64) -> u64 {
    id
}

#[cache_evict(cache = "broker-away", all)]
async fn clear_remotely() {}

#[cache_put(cache = "broker-away", key = id)]
async fn put_remotely(id: u64) -> u64 {
    id
}

/// `CacheErrorHandlerTests`: `putFail`, `evictFail`, `clearFail`, by the failure that a distributed cache is most likely
/// to have.
#[tokio::test]
async fn a_broker_that_does_not_answer_is_no_matter_of_the_writers() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let builder = Registry::builder().namespace("spring").unknown_caches(UnknownCaches::Bypass);
    let builder = builder.cache(CacheConfig::new("broker-away")).backend(backend.clone());
    let registry = builder.start().await.expect("the hub is there");
    let cache = registry.cache::<u64, u64>("broker-away").expect("numbers");
    for key in 1..=3 {
        cache.reserve(&key).fill(100);
    }
    backend.take_messages(false);
    let work = async {
        assert_eq!(evict_remotely(1).await, 1);
        assert_eq!(cache.get(&1), None);
        assert_eq!(put_remotely(2).await, 2);
        assert_eq!(cache.get(&2), Some(2));
        clear_remotely().await;
        assert!(cache.is_empty());
    };
    registry.scope(within(DEADLINE, work)).await;
    backend.take_messages(true);
    registry.flush().await.expect("what had waited is sent");
}

static ASKED: AtomicU64 = AtomicU64::new(0);

/// A key whose making panics for some arguments.
fn checked(id: u64) -> u64 {
    ASKED.fetch_add(1, Ordering::Relaxed);
    assert_ne!(id, 0, "the key of a user is not zero");
    id
}

#[cacheable(cache = "panicking-key", key = checked(id))]
async fn panicking_key(calls: &Calls, id: u64) -> u64 {
    calls.count().await + id
}

/// `CacheErrorHandlerTests.getFailProperException`: what the attribute's own expressions fail with is the caller's.
#[tokio::test]
async fn a_panic_of_a_key_expression_reaches_the_caller() {
    let registry = registry(&["panicking-key"]).await;
    let calls = std::sync::Arc::new(Calls::default());
    let call = |id| {
        let (registry, calls) = (registry.clone(), calls.clone());
        tokio::spawn(async move { registry.scope(panicking_key(&calls, id)).await })
    };
    assert!(call(0).await.expect_err("the key panics").is_panic());
    assert_eq!(calls.get(), 0, "before the body");
    assert_eq!(call(1).await.expect("a sound key"), 2);
    assert_eq!((call(1).await.expect("a sound key"), ASKED.load(Ordering::Relaxed)), (2, 3));
}
