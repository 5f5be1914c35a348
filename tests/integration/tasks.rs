//! R2 and R3 in tasks that are spawned inside a scope, and transactions that outlive their registry.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cachesync::{
    Cache, CacheConfig, ManualClock, Registry, Transaction, TransactionHandle, cache_evict, memory::MemoryBackend,
};
use cachesync_tests::{faulty::FaultyBackend, wait::eventually};
use tokio::task::JoinSet;

use crate::nodes::{DEADLINE, alone, load, node, only, pair};

#[tokio::test]
async fn a_task_that_is_spawned_inside_a_scope_is_outside_unless_it_takes_the_scope_along() {
    let (_registry, users) = alone().await;
    for key in [1, 2] {
        load(&users, key, "old").await;
    }
    let transaction = Transaction::begin();
    let spawning = async {
        let (outside, inside) = (users.clone(), users.clone());
        let scope = TransactionHandle::current().expect("this is a scope");
        tokio::spawn(async move {
            assert!(TransactionHandle::current().is_none());
            outside.evict(&1);
        })
        .await
        .unwrap();
        tokio::spawn(scope.scope(async move {
            inside.evict(&2);
            assert_eq!(inside.get(&2), None, "it reads its own writes");
            assert_eq!(load(&inside, 3, "uncommitted").await, "uncommitted");
        }))
        .await
        .unwrap();
        assert_eq!(users.get(&2), None, "and so does the task that it belongs to");
    };
    transaction.scope(spawning).await;
    assert_eq!((users.get(&1), users.get(&2).as_deref(), users.get(&3)), (None, Some("old"), None));
    transaction.commit();
    assert_eq!(users.get(&2), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_write_in_one_transaction_and_a_rollback_discards_it_all() {
    let (here, there) = pair().await;
    for commits in [false, true] {
        for key in 0..100 {
            load(&here.users, key, "old").await;
        }
        let transaction = Transaction::begin();
        let scope = transaction.handle();
        let mut tasks = JoinSet::new();
        for key in 0..100 {
            let users = here.users.clone();
            tasks.spawn(scope.scope(async move { users.evict(&key) }));
        }
        tasks.join_all().await;
        assert_eq!(here.users.len(), 100);
        if commits {
            transaction.commit().confirmed().await.unwrap();
            eventually(DEADLINE, || there.users.stats().evicted_by_others == 100).await;
        } else {
            transaction.rollback();
        }
        assert_eq!(here.users.len(), if commits { 0 } else { 100 });
    }
}

#[cache_evict(cache = "scoped-tasks", key = id)]
async fn save(id: u64) {
    let _ = id;
}

#[tokio::test]
async fn the_registry_in_scope_goes_along() {
    let registry = only(CacheConfig::new("scoped-tasks")).await;
    let cache: Cache<u64, String> = registry.cache("scoped-tasks").unwrap();
    load(&cache, 1, "old").await;
    let transaction = Transaction::begin();
    registry
        .scope(async {
            // Made where the registry is in scope.
            let scope = transaction.handle();
            tokio::spawn(scope.scope(save(1))).await.unwrap();
        })
        .await;
    assert_eq!(cache.get(&1).as_deref(), Some("old"));
    transaction.commit();
    assert_eq!(cache.get(&1), None);
}

#[tokio::test]
async fn a_transaction_that_begins_in_such_a_task_is_an_inner_one() {
    let (_registry, users) = alone().await;
    load(&users, 1, "old").await;
    let outer = Transaction::begin();
    let inside = users.clone();
    let inner = async move {
        let inner = Transaction::begin();
        inner.scope(async { inside.evict(&1) }).await;
        inner.commit();
    };
    tokio::spawn(outer.handle().scope(inner)).await.unwrap();
    assert_eq!(users.get(&1).as_deref(), Some("old"));
    outer.commit();
    assert_eq!(users.get(&1), None);
}

#[tokio::test]
async fn what_a_task_evicts_after_the_end_is_evicted_with_a_hold_or_joins_the_transaction_around() {
    let clock = ManualClock::new();
    let registry = node().settle(Duration::from_secs(5)).clock(clock.clone()).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    for commits in [false, true] {
        load(&users, 1, "old").await;
        let transaction = Transaction::begin();
        let late = transaction.handle();
        if commits {
            transaction.commit();
        } else {
            transaction.rollback();
        }
        late.scope(async { users.evict(&1) }).await;
        assert_eq!(load(&users, 1, "not to be trusted yet").await, "not to be trusted yet");
        assert_eq!(users.get(&1), None, "held");
        clock.advance(Duration::from_secs(5));
    }

    load(&users, 1, "old").await;
    let outer = Transaction::begin();
    let inside = async {
        let inner = Transaction::begin();
        let late = inner.handle();
        inner.rollback();
        late.scope(async { users.evict(&1) }).await;
    };
    outer.scope(inside).await;
    assert_eq!(users.get(&1).as_deref(), Some("old"));
    outer.commit();
    assert_eq!(users.get(&1), None);
}

/// A registry with an eviction that waits for the end of a transaction, shut down before that.
/// Looks into another cache, in a scope, when it is dropped.
struct Looks {
    scope: TransactionHandle,
    other: Cache<u64, u64>,
    found: Arc<Mutex<Vec<Option<u64>>>>,
}

impl Drop for Looks {
    fn drop(&mut self) {
        let found = pollster::block_on(self.scope.scope(async { self.other.get(&1) }));
        self.found.lock().unwrap().push(found);
    }
}

/// The commit had taken out what was pending in `zones` and not yet evicted it there: a task of the transaction that looked
/// then read what the transaction itself had overwritten.
#[tokio::test]
async fn a_task_that_reads_in_the_middle_of_the_commit_reads_nothing_that_is_about_to_be_evicted() {
    let registry = node().cache(CacheConfig::new("zones")).start().await.unwrap();
    let (users, zones) = (registry.cache("users").unwrap(), registry.cache("zones").unwrap());
    zones.insert(1, 0);
    let transaction = Transaction::begin();
    let found = Arc::default();
    users.insert(1, Arc::new(Looks { scope: transaction.handle(), other: zones.clone(), found: Arc::clone(&found) }));
    // Caches are evicted from in the order in which they were made.
    transaction.scope(async { (users.evict(&1), zones.evict(&1)) }).await;
    transaction.commit();
    assert_eq!(*found.lock().unwrap(), [None]);
}

async fn outlived(registry: &Registry) -> Transaction {
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "old").await;
    let transaction = Transaction::begin();
    transaction
        .scope(async {
            users.evict(&1);
            users.insert(2, "put".into());
        })
        .await;
    registry.shutdown().await.unwrap();
    transaction
}

#[tokio::test]
async fn a_transaction_can_outlive_its_registry_and_says_that_others_were_not_told() {
    let registry = node().backend(FaultyBackend::new(&MemoryBackend::new())).start().await.unwrap();
    let committed = outlived(&registry).await.commit();
    assert!(committed.confirmed().await.unwrap_err().is_shut_down());
    let problems = registry.status().problems;
    assert!(problems.iter().any(|problem| problem.contains("other nodes were not told")), "{problems:?}");
    assert_eq!(registry.cache::<u64, String>("users").unwrap().len(), 0, "nothing is put into what has ended");
}

#[tokio::test]
async fn a_transaction_that_outlives_its_registry_can_end_in_every_other_way() {
    let registry = node().backend(MemoryBackend::new()).start().await.unwrap();
    outlived(&registry).await.rollback();
    assert_eq!(registry.status().problems, [""; 0]);

    let registry = node().backend(MemoryBackend::new()).start().await.unwrap();
    let transaction = outlived(&registry).await;
    assert!(transaction.commit_with(async { Err::<(), _>("nobody knows") }).await.is_err());
    assert_eq!(registry.status().problems.len(), 1);

    let (registry, _users) = alone().await;
    outlived(&registry).await.commit().confirmed().await.expect("there is nobody to tell");
}
