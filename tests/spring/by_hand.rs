//! Caches without annotated functions: Spring's `Cache`.

use std::sync::Arc;

use cachesync::{Cache, Transaction};
use futures_util::future::join_all;

use crate::{Calls, Refused, fixture::registry};

/// A cache of texts.
async fn texts() -> Cache<String, String> {
    registry(&["by-hand"]).await.cache("by-hand").expect("no function uses it")
}

/// `AbstractCacheTests.cacheName`; `JCacheCacheManagerTests.getOnExistingCache`.
#[tokio::test]
async fn a_cache_knows_its_name() {
    assert_eq!(texts().await.name(), "by-hand");
}

/// `AbstractCacheTests.cachePut`; `TransactionAwareCacheDecoratorTests.regularOperationsOnTarget`.
#[tokio::test]
async fn what_was_inserted_is_found_and_replaced() {
    let cache = texts().await;
    assert_eq!(cache.get("key"), None);
    cache.insert("key".into(), "george".into());
    assert_eq!(cache.get("key").as_deref(), Some("george"));
    cache.insert("key".into(), "vlaicu".into());
    assert_eq!(cache.get("key").as_deref(), Some("vlaicu"));
    assert_eq!(cache.len(), 1);
}

/// `AbstractCacheTests.cachePut` of a null; `AbstractValueAdaptingCacheTests.cachePutNullValueAllowNullFalse`.
#[tokio::test]
async fn a_cache_of_options_tells_an_absent_value_from_an_absent_entry() {
    let registry = registry(&["by-hand"]).await;
    let cache = registry.cache::<String, Option<u64>>("by-hand").expect("no function uses it");
    assert_eq!(cache.get("key"), None);
    cache.insert("key".into(), None);
    assert_eq!(cache.get("key"), Some(None));
    cache.insert("key".into(), Some(1));
    assert_eq!(cache.get("key"), Some(Some(1)));
}

/// `AbstractCacheTests.cachePutIfAbsent`; `putIfAbsentNonTransactional`, `CaffeineCacheTests.putIfAbsentNullValue`.
#[tokio::test]
async fn a_value_is_given_to_an_absent_key_and_not_to_a_present_one() {
    let cache = texts().await;
    assert_eq!(cache.get_with("key", async || "initial".to_owned()).await, "initial");
    assert_eq!(cache.get("key").as_deref(), Some("initial"));
    assert_eq!(cache.get_with("key", async || "another".to_owned()).await, "initial");
    assert_eq!(cache.get("key").as_deref(), Some("initial"));
}

/// `TransactionAwareCacheDecoratorTests.putIfAbsentTransactional`, which fills at once.
#[tokio::test]
async fn nothing_that_is_loaded_in_a_transaction_is_kept() {
    let cache = texts().await;
    let transaction = Transaction::begin();
    let loaded = transaction.scope(cache.get_with("key", async || "uncommitted".to_owned())).await;
    let filled = transaction.scope(async { cache.reserve("key").fill("uncommitted".into()) }).await;
    transaction.commit();
    assert_eq!((loaded.as_str(), filled, cache.get("key")), ("uncommitted", false, None));
}

/// `AbstractCacheTests.cacheRemove`.
#[tokio::test]
async fn an_evicted_key_is_gone() {
    let cache = texts().await;
    cache.insert("key".into(), "george".into());
    cache.evict("key");
    assert_eq!(cache.get("key"), None);
    cache.evict("key");
}

/// `AbstractCacheTests.cacheClear`.
#[tokio::test]
async fn all_keys_can_be_evicted() {
    let cache = texts().await;
    for (key, value) in [("enescu", "george"), ("vlaicu", "aurel")] {
        assert_eq!(cache.get(key), None);
        cache.insert(key.into(), value.into());
    }
    cache.evict_all();
    assert_eq!((cache.get("enescu"), cache.get("vlaicu")), (None, None));
}

/// `AbstractCacheTests.cacheGetCallable`; `NoOpCacheManagerTests.cacheCallable`; `CaffeineCacheTests.loadingCacheGet`.
#[tokio::test]
async fn a_loader_fills_an_absent_key() {
    let cache = texts().await;
    assert_eq!(cache.get_with("key", async || "test".to_owned()).await, "test");
    assert_eq!(cache.get("key").as_deref(), Some("test"));
}

/// `AbstractCacheTests.cacheGetCallableWithNull`, `cacheGetCallableNotInvokedWithHitNull`.
#[tokio::test]
async fn a_loader_of_an_absent_value_is_not_run_again() {
    let registry = registry(&["by-hand"]).await;
    let cache = registry.cache::<String, Option<u64>>("by-hand").expect("no function uses it");
    assert_eq!(cache.get_with("key", async || None).await, None);
    assert_eq!(cache.get("key"), Some(None));
    assert_eq!(cache.get_with("key", async || panic!("it is there")).await, None);
}

/// `AbstractCacheTests.cacheGetCallableNotInvokedWithHit`.
#[tokio::test]
async fn a_loader_is_not_run_on_a_hit() {
    let cache = texts().await;
    cache.insert("key".into(), "existing".into());
    assert_eq!(cache.get_with("key", async || panic!("it is there")).await, "existing");
}

/// `AbstractCacheTests.cacheGetCallableFail`; `NoOpCacheManagerTests.cacheGetCallableFail`.
#[tokio::test]
async fn the_error_of_a_loader_is_returned_as_it_is() {
    let cache = texts().await;
    assert_eq!(cache.try_get_with("key", async || Err(Refused(1))).await, Err(Refused(1)));
    assert_eq!(cache.get("key"), None);
    assert_eq!(cache.try_get_with("key", async || Ok::<_, Refused>("test".into())).await, Ok("test".into()));
}

/// `AbstractCacheTests.cacheGetSynchronized`.
#[tokio::test]
async fn loaders_of_one_key_at_the_same_time_are_one() {
    let cache = registry(&["by-hand"]).await.cache::<u64, u64>("by-hand").expect("no function uses it");
    let calls = Calls::default();
    let values = join_all((0..10).map(|_| cache.get_with(7, || calls.count()))).await;
    assert_eq!((values, calls.get()), (vec![1; 10], 1));
}

/// `ConcurrentMapCacheTests.isStoreByReferenceByDefault`; `ConcurrentMapCacheManagerTests.changeStoreByValue`.
#[tokio::test]
async fn an_arc_is_shared_and_any_other_value_is_cloned() {
    let registry = registry(&["by-hand"]).await;
    let cache = registry.cache::<u64, Arc<Vec<u64>>>("by-hand").expect("no function uses it");
    let value = Arc::new(vec![1, 2, 3]);
    cache.insert(7, value.clone());
    assert!(Arc::ptr_eq(&value, &cache.get(&7).expect("just inserted")));
    let mut other = cache.get(&7).expect("just inserted");
    Arc::make_mut(&mut other).push(4);
    assert_eq!(cache.get(&7), Some(value), "nobody changes what is cached");
}
