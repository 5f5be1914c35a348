//! R2 where nobody knows whether the database committed: the evictions are applied, and held.

use std::{
    future::{pending, ready},
    io,
    time::Duration,
};

use cachesync::{Cache, CacheConfig, Coherence, ManualClock, Registry, Transaction, UnknownCaches, cache_evict};
use cachesync_tests::wait::eventually;
use futures_util::{FutureExt, poll};
use tokio::task::yield_now;

use crate::{
    logged::numbers_logged,
    nodes::{DEADLINE, load, pair, save},
};

fn name(name: &str) -> String {
    name.to_owned()
}

#[cache_evict(cache = "users", key = *result, registry = registry)]
async fn create(registry: &Registry, body: impl Future<Output = u64>) -> Result<u64, ()> {
    Ok(body.await)
}

/// A node with a clock that stands still, so that a hold lasts until the test moves it.
async fn clocked() -> (Registry, Cache<u64, String>, ManualClock) {
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .cache(CacheConfig::new("users"))
        .unknown_caches(UnknownCaches::Bypass)
        .settle(Duration::from_secs(5))
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let users = registry.cache("users").unwrap();
    (registry, users, clock)
}

/// The key is gone, nothing is kept of it for the settle time, and after that it is cached again.
async fn assert_evicted_with_a_hold(users: &Cache<u64, String>, clock: &ManualClock) {
    assert_eq!(users.get(&1), None);
    assert_eq!(load(users, 1, "perhaps old").await, "perhaps old");
    assert_eq!(users.get(&1), None, "the key is held");
    assert!(!users.reserve(&1).fill(name("perhaps old")));
    users.insert(1, name("perhaps old"));
    assert_eq!(users.get(&1), None);
    clock.advance(Duration::from_secs(5));
    load(users, 1, "new").await;
    assert_eq!(users.get(&1), Some(name("new")));
}

async fn pending_eviction(users: &Cache<u64, String>) -> Transaction {
    users.insert(1, name("old"));
    let transaction = Transaction::begin();
    transaction.scope(async { users.evict(&1) }).await;
    transaction
}

#[tokio::test]
async fn a_database_commit_that_succeeds_evicts_without_a_hold() {
    let (_registry, users, _clock) = clocked().await;
    let transaction = pending_eviction(&users).await;
    let commit = async {
        yield_now().await;
        assert_eq!(users.get(&1), Some(name("old")), "the database first");
        Ok::<_, io::Error>(())
    };
    transaction.commit_with(commit).await.unwrap().confirmed().await.unwrap();
    assert_eq!(users.get(&1), None);
    load(&users, 1, "new").await;
    assert_eq!(users.get(&1), Some(name("new")));
}

#[tokio::test]
async fn a_database_commit_that_fails_evicts_with_a_hold() {
    let (_registry, users, clock) = clocked().await;
    let transaction = pending_eviction(&users).await;
    let failed = transaction.commit_with(ready(Err(io::Error::other("the connection was reset")))).await;
    assert_eq!(failed.unwrap_err().to_string(), "the connection was reset");
    assert_evicted_with_a_hold(&users, &clock).await;
}

#[tokio::test]
async fn what_is_put_in_a_transaction_of_unknown_outcome_is_not_kept() {
    let (_registry, users, clock) = clocked().await;
    users.insert(1, name("old"));
    let transaction = Transaction::begin();
    transaction.scope(async { users.insert(1, name("perhaps undone")) }).await;
    transaction.commit_with(ready(Err(io::Error::other("reset")))).await.unwrap_err();
    assert_evicted_with_a_hold(&users, &clock).await;
}

#[tokio::test]
async fn a_database_commit_that_panics_evicts_with_a_hold() {
    let (_registry, users, clock) = clocked().await;
    let transaction = pending_eviction(&users).await;
    let commit = async {
        yield_now().await;
        panic!("on purpose")
    };
    let commit = std::panic::AssertUnwindSafe(transaction.commit_with::<_, io::Error>(commit));
    assert!(commit.catch_unwind().await.is_err());
    assert_evicted_with_a_hold(&users, &clock).await;
}

#[tokio::test]
async fn a_database_commit_dropped_at_any_await_evicts_with_a_hold_and_before_the_first_poll_discards() {
    for polls in 0..4 {
        let (_registry, users, clock) = clocked().await;
        let transaction = pending_eviction(&users).await;
        let commit = async {
            for _ in 0..2 {
                yield_now().await;
            }
            pending::<Result<(), io::Error>>().await
        };
        let mut commit = Box::pin(transaction.commit_with(commit));
        for _ in 0..polls {
            assert!(poll!(commit.as_mut()).is_pending());
        }
        drop(commit);
        if polls == 0 {
            assert_eq!(users.get(&1), Some(name("old")), "the database was never asked to commit");
        } else {
            assert_evicted_with_a_hold(&users, &clock).await;
        }
    }
}

#[tokio::test]
async fn the_hold_of_an_unknown_outcome_reaches_the_other_nodes() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    let transaction = pending_eviction(&here.users).await;
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 1).await;
    transaction.commit_with(ready(Err(io::Error::other("reset")))).await.unwrap_err();
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 2).await;
    load(&there.users, 1, "perhaps old").await;
    assert_eq!(there.users.get(&1), None);
    load(&there.users, 2, "another key").await;
    assert_eq!(there.users.get(&2), Some(name("another key")));
}

#[tokio::test]
async fn an_inner_transaction_of_unknown_outcome_leaves_the_decision_to_the_outer_one() {
    let (_registry, users, _clock) = clocked().await;
    users.insert(1, name("old"));
    let outer = Transaction::begin();
    outer
        .scope(async {
            let inner = Transaction::begin();
            inner.scope(async { users.evict(&1) }).await;
            inner.commit_with(ready(Err(io::Error::other("reset")))).await.unwrap_err();
        })
        .await;
    assert_eq!(users.get(&1), Some(name("old")));
    outer.commit();
    assert_eq!(users.get(&1), None);
}

/// Its writes may have been undone with those of the outer one, or not.
#[tokio::test]
async fn an_inner_commit_after_the_end_of_the_outer_transaction_evicts_with_a_hold() {
    for end in [Transaction::rollback, |outer: Transaction| _ = outer.commit()] {
        let (_registry, users, clock) = clocked().await;
        let outer = Transaction::begin();
        users.insert(1, name("old"));
        let inner = outer.scope(async { Transaction::begin() }).await;
        inner.scope(async { users.evict(&1) }).await;
        end(outer);
        assert_eq!(users.get(&1), Some(name("old")), "of the outer one nothing was pending");
        inner.commit();
        assert_evicted_with_a_hold(&users, &clock).await;
    }
}

#[tokio::test]
async fn an_innermost_put_is_not_kept_by_the_outermost_commit_if_the_one_between_was_undone_or_may_have_been() {
    let reset = || ready(Err::<(), _>(io::Error::other("reset")));
    for undone in [true, false] {
        let (_registry, users, _clock) = clocked().await;
        users.insert(1, name("old"));
        let outermost = Transaction::begin();
        let middle = outermost.scope(async { Transaction::begin() }).await;
        let innermost = middle.scope(async { Transaction::begin() }).await;
        innermost.scope(async { users.insert(1, name("perhaps undone")) }).await;
        if undone {
            middle.rollback();
            innermost.commit();
        } else {
            innermost.commit();
            middle.commit_with(reset()).await.unwrap_err();
        }
        assert_eq!(users.get(&1), Some(name("old")), "the outermost one has yet to commit");
        outermost.commit();
        assert_eq!(users.get(&1), None, "evicted, and not put");
    }
}

#[tokio::test]
async fn what_is_evicted_in_a_read_only_transaction_is_not_lost() {
    let (_registry, users, clock) = clocked().await;
    users.insert(1, name("old"));
    let reading = Transaction::read_only();
    reading.scope(async { users.evict(&1) }).await;
    drop(reading);
    assert_evicted_with_a_hold(&users, &clock).await;
}

/// Other tests of this program make the same mistake, a few times.
#[test]
fn evictions_in_read_only_transactions_again_and_again_are_logged_ever_more_rarely() {
    let numbers = numbers_logged("evicted in a read-only transaction", "so_far", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_registry, users, _clock) = clocked().await;
            for _ in 0..1_000 {
                Transaction::read_only().scope(async { users.evict(&1) }).await;
            }
        });
    });
    assert!(numbers.iter().all(|number| number.is_power_of_two()), "the 1st, 2nd, 4th, ...: {numbers:?}");
    assert!(numbers.is_sorted_by(|one, next| one < next) && numbers.len() >= 4, "{numbers:?}");
}

#[tokio::test]
async fn an_annotated_eviction_that_is_cancelled_or_panics_outside_evicts_with_a_hold() {
    let (registry, users, clock) = clocked().await;
    users.insert(1, name("old"));
    let mut saving = Box::pin(save(&registry, 1, pending()));
    assert!(poll!(saving.as_mut()).is_pending());
    assert_eq!(users.get(&1), Some(name("old")));
    drop(saving);
    assert_evicted_with_a_hold(&users, &clock).await;

    let saving = std::panic::AssertUnwindSafe(save(&registry, 1, async { panic!("on purpose") }));
    assert!(saving.catch_unwind().await.is_err());
    assert_evicted_with_a_hold(&users, &clock).await;

    drop(save(&registry, 1, pending()));
    assert_eq!(users.get(&1), Some(name("new")), "its body never began");
}

#[tokio::test]
async fn an_eviction_by_a_result_that_never_came_evicts_all_with_a_hold() {
    let (registry, users, clock) = clocked().await;
    users.insert(1, name("old"));
    users.insert(2, name("old"));
    assert_eq!(create(&registry, ready(2)).await, Ok(2));
    assert_eq!(users.get(&2), None);
    assert_eq!(users.get(&1), Some(name("old")));

    let mut creating = Box::pin(create(&registry, pending()));
    assert!(poll!(creating.as_mut()).is_pending());
    drop(creating);
    assert_evicted_with_a_hold(&users, &clock).await;
}

#[tokio::test]
async fn an_annotated_eviction_cancelled_after_its_transaction_ended_is_held() {
    let (registry, users, clock) = clocked().await;
    users.insert(1, name("old"));
    let transaction = Transaction::begin();
    let mut saving = Box::pin(transaction.scope(save(&registry, 1, pending())));
    assert!(poll!(saving.as_mut()).is_pending());
    transaction.commit();
    drop(saving);
    assert_evicted_with_a_hold(&users, &clock).await;
}

/// The interleaving: the answer to a commit is lost, and its eviction goes out, with a hold, while another node has no
/// session. That node comes back, clears, and loads the old value, since the database has not committed yet. It knows of
/// no hold and keeps it. Then the database commits.
#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_during_a_hold_does_not_keep_for_good_what_it_loads_then() {
    let (away, writer) = pair().await;
    away.backend.refuse(Some("the test says so"));
    away.backend.cut();
    eventually(DEADLINE, || matches!(away.registry.status().coherence, Coherence::Suspect { .. })).await;
    let transaction = pending_eviction(&writer.users).await;
    transaction.commit_with(ready(Err(io::ErrorKind::ConnectionReset))).await.unwrap_err();
    writer.registry.flush().await.unwrap();

    away.backend.refuse(None);
    eventually(DEADLINE, || matches!(away.registry.status().coherence, Coherence::Coherent { .. })).await;
    load(&away.users, 1, "old").await;
    assert_eq!(away.users.get(&1), Some(name("old")), "it has heard of nothing");

    eventually(DEADLINE, || away.users.get(&1).is_none()).await;
}
