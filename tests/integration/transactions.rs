//! R2 and R3: evictions happen after the commit and only after the commit; a transaction reads its own writes, and
//! nothing that it read reaches others.

use std::{
    future::{pending, ready},
    io,
    sync::Arc,
};

use cachesync::{Cache, CacheConfig, Registry, Transaction, cacheable};
use cachesync_tests::{
    gate::Gate,
    wait::{eventually, within},
};
use futures_util::poll;

use crate::nodes::{DEADLINE, alone, load, only, pair, save};

fn name(name: &str) -> String {
    name.to_owned()
}

#[tokio::test]
async fn evictions_wait_for_the_commit_here_and_there() {
    let (here, there) = pair().await;
    for node in [&here, &there] {
        load(&node.users, 1, "old").await;
        load(&node.users, 2, "old").await;
    }
    let transaction = Transaction::begin();
    transaction
        .scope(async {
            here.users.evict(&1);
            here.users.insert(2, name("new"));
        })
        .await;
    here.registry.flush().await.unwrap();
    for node in [&here, &there] {
        assert_eq!(node.users.get(&1), Some(name("old")));
        assert_eq!(node.users.get(&2), Some(name("old")));
    }

    transaction.commit().confirmed().await.unwrap();
    assert_eq!(here.users.get(&1), None);
    assert_eq!(here.users.get(&2), Some(name("new")));
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test]
async fn rollback_and_drop_discard() {
    let (here, there) = pair().await;
    for end in [Transaction::rollback, drop] {
        load(&here.users, 1, "old").await;
        let transaction = Transaction::begin();
        transaction
            .scope(async {
                here.users.evict(&1);
                here.users.evict_all();
                here.users.insert(3, name("new"));
            })
            .await;
        end(transaction);
        assert_eq!(here.users.get(&1), Some(name("old")));
        assert_eq!(here.users.get(&3), None);
    }
    here.registry.flush().await.unwrap();
    assert_eq!(there.registry.stats().frames_applied, 0);
}

#[tokio::test]
async fn a_transaction_reads_its_own_writes_and_others_do_not_see_them() {
    let (_registry, users) = alone().await;
    for evict in [|users: &Cache<u64, String>| users.evict(&1), Cache::evict_all] {
        users.insert(1, name("old"));
        let transaction = Transaction::begin();
        transaction
            .scope(async {
                assert_eq!(users.get(&1), Some(name("old")), "nothing is pending yet");
                evict(&users);
                assert_eq!(users.get(&1), None);
                assert_eq!(load(&users, 1, "uncommitted").await, "uncommitted");
                assert_eq!(load(&users, 1, "again").await, "again", "nor is it filled");
            })
            .await;
        assert_eq!(users.get(&1), Some(name("old")));
        transaction.rollback();
        assert_eq!(users.get(&1), Some(name("old")));
    }
}

#[tokio::test]
async fn a_key_put_in_a_transaction_is_not_read_from_the_cache_inside() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    let transaction = Transaction::begin();
    transaction
        .scope(async {
            users.insert(1, name("new"));
            assert_eq!(users.get(&1), None);
        })
        .await;
    assert_eq!(users.get(&1), Some(name("old")));
    transaction.commit();
    assert_eq!(users.get(&1), Some(name("new")));
}

#[tokio::test]
async fn a_miss_in_a_transaction_fills_nothing_and_nobody_joins_it() {
    let (_registry, users) = alone().await;
    for transaction in [Transaction::begin(), Transaction::read_only()] {
        let gate = Gate::new();
        let loader = async || {
            gate.pass().await;
            name("from an old snapshot")
        };
        let mut inside = std::pin::pin!(transaction.scope(users.get_with(1, loader)));
        assert!(poll!(inside.as_mut()).is_pending());
        gate.reached_by(1).await;

        assert!(users.reserve(&2).fill(name("filled")), "outside a reservation is filled");
        assert!(!transaction.scope(async { users.reserve(&3) }).await.fill(name("filled")), "inside it is not");
        assert_eq!(within(DEADLINE, load(&users, 1, "committed")).await, "committed", "it does not wait for the inner");
        gate.let_through(1);
        assert_eq!(inside.await, "from an old snapshot");
        assert_eq!(users.get(&1), Some(name("committed")));
        users.evict_all();
    }
}

#[tokio::test]
async fn a_caller_in_a_transaction_does_not_join_a_load_outside() {
    let (_registry, users) = alone().await;
    let gate = Gate::new();
    let outside = {
        let (users, gate) = (users.clone(), gate.clone());
        tokio::spawn(async move {
            let loader = async || {
                gate.pass().await;
                name("outside")
            };
            users.get_with(1, loader).await
        })
    };
    gate.reached_by(1).await;
    let transaction = Transaction::read_only();
    assert_eq!(within(DEADLINE, transaction.scope(load(&users, 1, "inside"))).await, "inside");
    gate.let_through(1);
    outside.await.unwrap();
}

#[tokio::test]
async fn an_inner_commit_hands_over_to_the_outer_transaction() {
    let (here, there) = pair().await;
    load(&here.users, 1, "old").await;
    load(&there.users, 1, "old").await;
    let outer = Transaction::begin();
    let committed = outer
        .scope(async {
            let inner = Transaction::begin();
            inner.scope(async { here.users.evict(&1) }).await;
            let committed = inner.commit();
            assert_eq!(here.users.get(&1), None, "the outer transaction reads what the inner one wrote");
            committed
        })
        .await;
    assert_eq!(here.users.get(&1), Some(name("old")), "not before the outer commit");
    let mut confirmed = std::pin::pin!(committed.confirmed());
    assert!(poll!(confirmed.as_mut()).is_pending());
    outer.commit();
    assert_eq!(here.users.get(&1), None);
    within(DEADLINE, confirmed).await.unwrap();
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test]
async fn an_inner_rollback_discards_only_its_own() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    users.insert(2, name("old"));
    let outer = Transaction::begin();
    outer
        .scope(async {
            users.evict(&1);
            let inner = Transaction::begin();
            inner
                .scope(async {
                    users.evict(&2);
                    assert_eq!(users.get(&1), None, "the inner transaction reads what the outer one wrote");
                })
                .await;
            inner.rollback();
            assert_eq!(users.get(&2), Some(name("old")));
        })
        .await;
    outer.commit();
    assert_eq!(users.get(&1), None);
    assert_eq!(users.get(&2), Some(name("old")));
}

#[tokio::test]
async fn an_outer_rollback_discards_what_an_inner_commit_handed_over() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    let outer = Transaction::begin();
    let committed = outer
        .scope(async {
            let inner = Transaction::begin();
            inner.scope(async { users.evict(&1) }).await;
            inner.commit()
        })
        .await;
    outer.rollback();
    assert_eq!(users.get(&1), Some(name("old")));
    assert!(within(DEADLINE, committed.confirmed()).await.unwrap_err().is_rolled_back());
}

#[tokio::test]
async fn an_inner_transaction_that_commits_after_the_outer_one_ended_evicts_at_once() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    let outer = Transaction::begin();
    let inner = outer.scope(async { Transaction::begin() }).await;
    inner.scope(async { users.evict(&1) }).await;
    outer.rollback();
    inner.commit();
    assert_eq!(users.get(&1), None, "an eviction too many is harmless");
}

#[tokio::test]
async fn what_is_put_in_a_scope_after_the_rollback_is_not_kept() {
    let (_registry, users) = alone().await;
    let transaction = Transaction::begin();
    let late = transaction.scope(async { users.insert(1, name("uncommitted")) });
    transaction.rollback();
    late.await;
    assert_eq!(users.get(&1), None);
}

#[tokio::test]
async fn what_is_put_in_an_inner_scope_after_its_rollback_is_not_kept_by_the_outer_commit() {
    let (_registry, users) = alone().await;
    let outer = Transaction::begin();
    let inner = outer.scope(async { Transaction::begin() }).await;
    let late = inner.scope(async { users.insert(1, name("undone")) });
    inner.rollback();
    late.await;
    outer.commit();
    assert_eq!(users.get(&1), None);
}

#[tokio::test]
async fn an_innermost_transaction_that_commits_last_waits_for_the_outermost() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    let outermost = Transaction::begin();
    let middle = outermost.scope(async { Transaction::begin() }).await;
    let innermost = middle.scope(async { Transaction::begin() }).await;
    innermost.scope(async { users.evict(&1) }).await;
    middle.commit();
    let committed = innermost.commit();
    assert_eq!(users.get(&1), Some(name("old")));
    outermost.commit();
    assert_eq!(users.get(&1), None);
    within(DEADLINE, committed.confirmed()).await.unwrap();
}

#[tokio::test]
async fn an_inner_put_is_not_kept_if_the_outer_transaction_was_rolled_back_before() {
    let (_registry, users) = alone().await;
    let outer = Transaction::begin();
    let inner = outer.scope(async { Transaction::begin() }).await;
    inner.scope(async { users.insert(1, name("uncommitted")) }).await;
    outer.rollback();
    inner.commit();
    assert_eq!(users.get(&1), None);
}

#[tokio::test]
async fn an_inner_put_of_unknown_outcome_is_not_kept_by_the_outer_commit() {
    let (_registry, users) = alone().await;
    let outer = Transaction::begin();
    outer
        .scope(async {
            let inner = Transaction::begin();
            inner.scope(async { users.insert(1, name("perhaps undone")) }).await;
            inner.commit_with(ready(Err(io::Error::other("reset")))).await.unwrap_err();
        })
        .await;
    outer.commit();
    assert_eq!(users.get(&1), None);
}

#[tokio::test]
async fn what_is_evicted_in_an_inner_scope_after_its_commit_waits_for_the_outer_commit() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    let outer = Transaction::begin();
    outer
        .scope(async {
            let inner = Transaction::begin();
            let late = inner.scope(async { users.evict(&1) });
            inner.commit();
            late.await;
        })
        .await;
    assert_eq!(users.get(&1), Some(name("old")));
    outer.commit();
    assert_eq!(users.get(&1), None);
}

/// A value that does something when it is dropped.
#[derive(Clone)]
struct OnDrop {
    _last: Arc<Action>,
}

struct Action(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Action {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

impl OnDrop {
    fn new(action: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { _last: Arc::new(Action(Some(Box::new(action)))) }
    }
}

/// The commit has taken out what was pending and is applying it, when the scope, in another place, evicts once more.
#[tokio::test]
async fn an_eviction_made_while_its_transaction_commits_is_not_lost() {
    let registry = only(CacheConfig::new("values")).await;
    let values = registry.cache::<u64, OnDrop>("values").unwrap();
    values.insert(2, OnDrop::new(|| {}));
    let transaction = Transaction::begin();
    let late = {
        let values = values.clone();
        std::sync::Mutex::new(Some(Box::pin(transaction.scope(async move { values.evict(&2) }))))
    };
    values.insert(1, OnDrop::new(move || pollster::block_on(late.lock().unwrap().take().unwrap())));
    transaction.scope(async { values.evict(&1) }).await;
    transaction.commit();
    assert!(values.is_empty());
}

#[tokio::test]
async fn a_spawned_task_is_outside_of_the_scope() {
    let (_registry, users) = alone().await;
    users.insert(1, name("old"));
    let transaction = Transaction::begin();
    let spawned = users.clone();
    transaction.scope(async { tokio::spawn(async move { spawned.evict(&1) }).await.unwrap() }).await;
    assert_eq!(users.get(&1), None);
    transaction.rollback();
}

#[cacheable(cache = "users", key = id, registry = registry)]
async fn find(registry: &Registry, id: u64, from: &str) -> String {
    from.to_owned()
}

#[tokio::test]
async fn annotated_functions_follow_the_transaction() {
    let (registry, users) = alone().await;
    assert_eq!(find(&registry, 1, "old").await, "old");
    let transaction = Transaction::begin();
    transaction
        .scope(async {
            save(&registry, 1, ready(())).await;
            assert_eq!(find(&registry, 1, "uncommitted").await, "uncommitted");
        })
        .await;
    assert_eq!(find(&registry, 1, "new").await, "old");
    transaction.commit();
    assert_eq!(find(&registry, 1, "new").await, "new");
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn an_annotated_eviction_that_is_cancelled_joins_the_transaction() {
    let (registry, users) = alone().await;
    users.insert(1, name("old"));
    let transaction = Transaction::begin();
    let mut saving = Box::pin(transaction.scope(save(&registry, 1, pending())));
    assert!(poll!(saving.as_mut()).is_pending());
    drop(saving);
    assert_eq!(users.get(&1), Some(name("old")));
    transaction.commit();
    assert_eq!(users.get(&1), None);
}

#[tokio::test]
async fn a_value_whose_drop_uses_the_same_transaction_is_replaced_without_a_deadlock() {
    let registry = only(CacheConfig::new("values")).await;
    let values = registry.cache::<u64, OnDrop>("values").unwrap();
    let value = || {
        let values = values.clone();
        OnDrop::new(move || values.evict(&2))
    };
    let outer = Transaction::begin();
    outer
        .scope(async {
            values.insert(1, value());
            values.insert(1, value());
            values.evict(&1);
            values.insert(1, value());
            let inner = Transaction::begin();
            inner.scope(async { values.insert(1, value()) }).await;
            inner.commit();
            values.evict_all();
            values.insert(1, value());
        })
        .await;
    outer.commit();
    values.insert(1, value());
    values.insert(1, value());
    values.evict(&1);
    values.insert(1, value());
    values.evict_all();
    assert!(values.is_empty());
}

#[tokio::test]
async fn a_reservation_that_is_filled_inside_of_a_transaction_is_not_kept() {
    let (_registry, users) = alone().await;
    let reservation = users.reserve(&1);
    let transaction = Transaction::begin();
    assert!(!transaction.scope(async { reservation.fill("not committed".into()) }).await);
    assert_eq!(users.get(&1), None);
    transaction.rollback();
}
