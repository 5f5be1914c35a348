//! `transaction = expr`: a transaction that is handed about, in place of the scope's.

use std::future::pending;

use cachesync::{Cache, Registry, Transaction, cache_evict, cache_put, cacheable};

use crate::{
    Calls,
    nodes::{begun, cache, registry},
};

const CACHE: &str = "explicit";

#[cache_evict(cache = "explicit", key = id, transaction = transaction)]
async fn save(transaction: &Transaction, id: u64) -> Result<(), String> {
    if id == 0 { Err("refused".into()) } else { Ok(()) }
}

#[cache_put(cache = "explicit", key = id, transaction = transaction)]
async fn put(transaction: &Transaction, id: u64, value: u64) -> u64 {
    value
}

#[cacheable(cache = "explicit", key = id, transaction = transaction)]
async fn load(transaction: &Transaction, calls: &Calls, id: u64) -> u64 {
    calls.count().await;
    10 + id
}

/// The explicit transaction is not that of the body.
#[cache_evict(cache = "explicit", key = 1u64, transaction = transaction)]
async fn save_both(transaction: &Transaction, numbers: &Cache<u64, u64>) {
    numbers.evict(&2);
}

async fn filled() -> (Registry, Cache<u64, u64>) {
    let registry = registry(&[CACHE]).await;
    let numbers = cache::<u64, u64>(&registry, CACHE);
    (1..=3).for_each(|key| numbers.insert(key, key));
    (registry, numbers)
}

fn held(numbers: &Cache<u64, u64>) -> Vec<u64> {
    (1..=3).filter(|key| numbers.get(key).is_some()).collect()
}

#[tokio::test]
async fn evictions_and_puts_wait_for_the_transaction_that_is_named() {
    let (registry, numbers) = filled().await;
    for commit in [false, true] {
        let transaction = Transaction::begin();
        let work = async {
            save(&transaction, 1).await.expect("Ok");
            save(&transaction, 0).await.expect_err("refused");
            put(&transaction, 2, 20).await;
        };
        registry.scope(work).await;
        assert_eq!((held(&numbers), numbers.get(&2)), (vec![1, 2, 3], Some(2)));
        if commit {
            transaction.commit();
            assert_eq!((held(&numbers), numbers.get(&2)), (vec![2, 3], Some(20)));
        } else {
            transaction.rollback();
        }
    }
}

#[tokio::test]
async fn reads_see_what_is_pending_in_the_transaction_that_is_named_and_keep_nothing() {
    let (registry, numbers) = filled().await;
    let (transaction, calls) = (Transaction::begin(), Calls::default());
    let work = async {
        assert_eq!(load(&transaction, &calls, 1).await, 1);
        save(&transaction, 1).await.expect("Ok");
        assert_eq!(load(&transaction, &calls, 1).await, 11);
        assert_eq!(load(&transaction, &calls, 9).await, 19);
    };
    registry.scope(work).await;
    assert_eq!((calls.get(), numbers.get(&1), numbers.get(&9)), (2, Some(1), None));
    transaction.rollback();
}

#[tokio::test]
async fn it_comes_before_the_scope_and_is_not_that_of_the_body() {
    let (registry, numbers) = filled().await;
    let (explicit, scope) = (Transaction::begin(), Transaction::begin());
    scope.scope(registry.scope(save_both(&explicit, &numbers))).await;
    explicit.commit();
    assert_eq!(held(&numbers), [2, 3], "the attribute's is in the one that is named");
    scope.commit();
    assert_eq!(held(&numbers), [3], "the body's in that of the scope");

    registry.scope(save_both(&Transaction::begin(), &numbers)).await;
    assert_eq!(held(&numbers), [3], "which was rolled back");
}

#[cache_evict(cache = "explicit", key = id, transaction = transaction, requires_transaction)]
async fn never(transaction: &Transaction, id: u64) {
    pending::<()>().await;
}

#[tokio::test]
async fn a_cancelled_eviction_joins_the_transaction_that_is_named() {
    let (registry, numbers) = filled().await;
    let transaction = Transaction::begin();
    drop(begun(registry.scope(never(&transaction, 1))).await);
    assert_eq!(held(&numbers), [1, 2, 3]);
    transaction.commit();
    assert_eq!(held(&numbers), [2, 3]);
    let caches = registry.describe().caches;
    assert!(caches.iter().all(|cache| cache.problems.is_empty()), "it was in a transaction: {caches:?}");
}

struct Unit {
    transaction: Transaction,
}

impl Unit {
    #[cache_evict(cache = "explicit", key = id, transaction = self.transaction)]
    async fn save(&mut self, id: u64) -> &mut Self {
        self
    }
}

#[tokio::test]
async fn it_can_be_a_place() {
    let (registry, numbers) = filled().await;
    let mut unit = Unit { transaction: Transaction::begin() };
    registry.scope(async { _ = unit.save(1).await.save(2).await }).await;
    assert_eq!(held(&numbers), [1, 2, 3]);
    unit.transaction.commit();
    assert_eq!(held(&numbers), [3]);
}

#[cache_evict(cache = "explicit", key = id, requires_transaction)]
async fn save_in_scope(id: u64) {}

#[tokio::test]
async fn an_eviction_that_requires_a_transaction_says_once_when_there_is_none_and_evicts() {
    let (registry, numbers) = filled().await;
    let problems = || {
        let caches = registry.describe().caches;
        caches.into_iter().find(|cache| cache.name == CACHE).expect("configured").problems
    };
    let transaction = Transaction::begin();
    transaction.scope(registry.scope(save_in_scope(1))).await;
    transaction.commit();
    assert_eq!((held(&numbers), problems().len()), (vec![2, 3], 0));
    for id in [2, 3] {
        registry.scope(save_in_scope(id)).await;
    }
    assert_eq!(held(&numbers), [0; 0]);
    let problems = problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("::save_in_scope"), "{problems:?}");
}
