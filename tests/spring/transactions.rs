//! Evictions and puts inside of a transaction: Spring's transaction-aware caches.

use cachesync::{Cache, Registry, Transaction, cache_evict, cache_put, cacheable};

use crate::{Calls, Refused, fixture::registry};

#[derive(Default)]
struct Service {
    calls: Calls,
}

impl Service {
    #[cacheable(cache = "tx", key = id)]
    async fn get(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cache_put(cache = "tx", key = id)]
    async fn put(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cache_evict(cache = "tx", key = id)]
    async fn evict(&self, id: u64) {
        self.calls.count().await;
    }

    #[cache_evict(cache = "tx", key = id, before)]
    async fn evict_early(&self, id: u64) -> Result<(), Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cache_evict(cache = "tx", all)]
    async fn clear(&self) {
        self.calls.count().await;
    }

    #[cache_evict(cache = "tx", all, before)]
    async fn clear_early(&self) -> Result<(), Refused> {
        Err(Refused(self.calls.count().await))
    }
}

/// A service whose cache holds the key 1, with the value 100, and 2 with 200.
async fn filled() -> (Service, Registry, Cache<u64, u64>) {
    let registry = registry(&["tx"]).await;
    let cache = registry.cache("tx").expect("numbers");
    cache.insert(1, 100);
    cache.insert(2, 200);
    (Service::default(), registry, cache)
}

/// `TransactionAwareCacheDecoratorTests.putNonTransactional`, `evictNonTransactional`, `clearNonTransactional`,
/// `evictIfPresentNonTransactional`, `invalidateNonTransactional`.
#[tokio::test]
async fn without_a_transaction_everything_happens_at_once() {
    let (service, registry, cache) = filled().await;
    let work = async {
        assert_eq!(service.put(1).await, 1);
        assert_eq!(cache.get(&1), Some(1));
        service.evict(1).await;
        assert_eq!((cache.get(&1), cache.get(&2)), (None, Some(200)));
        service.clear().await;
        assert!(cache.is_empty());
    };
    registry.scope(work).await;
}

/// `TransactionAwareCacheDecoratorTests.putTransactional`.
#[tokio::test]
async fn a_put_waits_for_the_commit() {
    let (service, registry, cache) = filled().await;
    let work = async {
        let transaction = Transaction::begin();
        assert_eq!(transaction.scope(service.put(3)).await, 1);
        assert_eq!(cache.get(&3), None);
        transaction.commit();
        assert_eq!(cache.get(&3), Some(1));
    };
    registry.scope(work).await;
}

/// `TransactionAwareCacheDecoratorTests.evictTransactional`; `JCacheEhCacheAnnotationTests.evictWithTransaction`.
#[tokio::test]
async fn an_eviction_waits_for_the_commit() {
    let (service, registry, cache) = filled().await;
    let work = async {
        let transaction = Transaction::begin();
        transaction.scope(service.evict(1)).await;
        assert_eq!((cache.get(&1), service.get(1).await), (Some(100), 100), "for everybody outside");
        transaction.commit();
        assert_eq!((cache.get(&1), cache.get(&2)), (None, Some(200)));
    };
    registry.scope(work).await;
}

/// `TransactionAwareCacheDecoratorTests.clearTransactional`; `JCacheEhCacheAnnotationTests.evictAllWithTransaction`.
#[tokio::test]
async fn an_eviction_of_all_waits_for_the_commit() {
    let (service, registry, cache) = filled().await;
    let work = async {
        let transaction = Transaction::begin();
        transaction.scope(service.clear()).await;
        assert_eq!((service.get(1).await, service.get(2).await), (100, 200), "for everybody outside");
        transaction.commit();
        assert!(cache.is_empty());
    };
    registry.scope(work).await;
}

/// `JCacheEhCacheAnnotationTests.evictEarlyWithTransaction`, `evictAllEarlyWithTransaction`;
/// `evictIfPresentTransactional`, `invalidateTransactional`.
#[tokio::test]
async fn an_eviction_before_the_body_waits_for_the_commit_too() {
    let (service, registry, cache) = filled().await;
    let work = async {
        let transaction = Transaction::begin();
        transaction.scope(service.evict_early(1)).await.expect_err("the body refuses");
        assert_eq!(service.get(1).await, 100, "for everybody outside");
        assert_ne!(transaction.scope(service.get(1)).await, 100, "inside it is gone at once");
        transaction.commit();
        assert_eq!((cache.get(&1), cache.get(&2)), (None, Some(200)));

        let transaction = Transaction::begin();
        transaction.scope(service.clear_early()).await.expect_err("the body refuses");
        assert_eq!(service.get(2).await, 200, "for everybody outside");
        assert_ne!(transaction.scope(service.get(2)).await, 200, "inside it is gone at once");
        transaction.commit();
        assert!(cache.is_empty());
    };
    registry.scope(work).await;
}

/// What Spring's `JCacheEhCacheAnnotationTests.evictWithTransaction` asserts the opposite of: it reads the old value.
#[tokio::test]
async fn inside_of_the_transaction_an_evicted_key_is_read_anew() {
    let (service, registry, cache) = filled().await;
    let work = async {
        let transaction = Transaction::begin();
        transaction.scope(service.evict(1)).await;
        assert_ne!(transaction.scope(service.get(1)).await, 100);
        assert_eq!(cache.get(&1), Some(100), "and what was read is not kept before the commit");
        assert_eq!(transaction.scope(service.get(2)).await, 200, "other keys are read from the cache");
        transaction.commit();
        assert_eq!(cache.get(&1), None);
    };
    registry.scope(work).await;
}

/// `TransactionAwareCacheDecoratorTests.putTransactional`, had its `TransactionTemplate` rolled back.
#[tokio::test]
async fn a_rollback_discards_evictions_and_puts() {
    let (service, registry, cache) = filled().await;
    let work = async {
        let transaction = Transaction::begin();
        let writes = async {
            service.evict(1).await;
            service.put(3).await;
            service.clear().await;
        };
        transaction.scope(writes).await;
        transaction.rollback();
        assert_eq!((cache.get(&1), cache.get(&2), cache.get(&3)), (Some(100), Some(200), None));
    };
    registry.scope(work).await;
}
