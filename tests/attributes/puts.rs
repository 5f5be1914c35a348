//! What a `#[cache_put]` function stores, evicts, and leaves alone.

use std::{
    future::{pending, ready},
    io,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use cachesync::{
    Cache, CacheConfig, ManualClock, Registry, RegistryBuilder, Transaction, UnknownCaches, cache_put, cacheable,
};
use futures_util::FutureExt;

use crate::{
    Calls,
    nodes::{SETTLE, begun, cache, clocked, pair, registry, stats},
};

type Answer = Result<u64, String>;

#[cache_put(cache = "put", key = id)]
async fn put(calls: &Calls, id: u64, value: u64) -> Answer {
    calls.count().await;
    if value == 0 { Err("refused".into()) } else { Ok(value) }
}

#[cacheable(cache = "put", key = id)]
async fn load(calls: &Calls, id: u64) -> Answer {
    calls.count().await;
    Ok(id)
}

#[tokio::test]
async fn a_put_runs_its_body_every_time_and_loads_find_its_value() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(load(&calls, 1).await, Ok(1));
        for (value, calls_by_now) in [(10, 2), (10, 3), (30, 4)] {
            assert_eq!(put(&calls, 1, value).await, Ok(value));
            assert_eq!(load(&calls, 1).await, Ok(value));
            assert_eq!(calls.get(), calls_by_now);
        }
    };
    registry(&["put"]).await.scope(work).await;
}

#[cache_put(cache = "put", key = id)]
async fn put_unless<E: Clone + Send + Sync>(id: u64, unless: Option<E>) -> Result<u64, E> {
    unless.map_or(Ok(id), Err)
}

#[tokio::test]
async fn the_error_of_a_put_may_borrow() {
    let (calls, text) = (Calls::default(), String::from("refused"));
    let work = async {
        assert_eq!(put_unless(1, None::<&str>).await, Ok(1));
        assert_eq!(put_unless(1, Some(text.as_str())).await, Err("refused"));
        assert_eq!(load(&calls, 1).await, Ok(1));
        assert_eq!(calls.get(), 0);
    };
    registry(&["put"]).await.scope(work).await;
}

#[tokio::test]
async fn an_error_stores_nothing_and_evicts_nothing() {
    let calls = Calls::default();
    let registry = registry(&["put"]).await;
    let work = async {
        assert_eq!(put(&calls, 1, 10).await, Ok(10));
        assert_eq!(put(&calls, 1, 0).await, Err("refused".into()));
        assert_eq!(load(&calls, 1).await, Ok(10));
    };
    registry.scope(work).await;
    assert_eq!(stats(&registry, "put").evicted, 1, "the put that succeeded");
}

#[tokio::test]
async fn a_value_that_was_put_stays_here_and_the_old_one_is_evicted_elsewhere() {
    let (here, there) = pair(&["put"]).await;
    let calls = Calls::default();
    there.registry.scope(load(&calls, 1)).await.expect("Ok");
    there.registry.scope(load(&calls, 2)).await.expect("Ok");
    here.registry.scope(put(&calls, 1, 10)).await.expect("Ok");
    there.hears("put", 1).await;
    let [ours, theirs] = [&here, &there].map(|node| cache::<u64, u64>(&node.registry, "put"));
    assert_eq!((ours.get(&1), theirs.get(&1), theirs.get(&2)), (Some(10), None, Some(2)));
}

#[tokio::test]
async fn without_a_registry_or_the_cache_a_put_is_its_body() {
    let calls = Calls::default();
    assert_eq!(put(&calls, 1, 10).await, Ok(10));
    assert_eq!(registry(&[]).await.scope(put(&calls, 1, 10)).await, Ok(10));
    assert_eq!(calls.get(), 2);
}

#[tokio::test]
async fn a_node_that_does_not_hold_the_cache_tells_those_that_do() {
    let (there, _other) = pair(&["put"]).await;
    let only = CacheConfig::evict_only("put");
    for (heard, configured) in [(1, Some(only)), (2, None)] {
        let builder = Registry::builder().namespace("attributes").unknown_caches(UnknownCaches::Bypass);
        let builder = configured.into_iter().fold(builder, RegistryBuilder::cache);
        let writer = builder.backend(there.backend.clone()).start().await.expect("starts");
        let calls = Calls::default();
        there.registry.scope(load(&calls, 1)).await.expect("Ok");
        assert_eq!(writer.scope(put(&calls, 1, 10)).await, Ok(10));
        there.hears("put", heard).await;
        assert!(cache::<u64, u64>(&there.registry, "put").is_empty());
        assert_eq!(writer.stats().caches["put"].entries, 0);
    }
}

struct Row {
    id: u64,
    name: String,
}

#[cache_put(cache = "put-result", key = result.id)]
async fn create(row: Row) -> Result<Arc<Row>, String> {
    tokio::task::yield_now().await;
    if row.name.is_empty() { Err(row.name) } else { Ok(row.into()) }
}

#[tokio::test]
async fn the_key_can_be_in_the_result() {
    let (here, there) = pair(&["put-result"]).await;
    let row = |id, name: &str| Row { id, name: name.into() };
    for name in ["Ada", "Grace"] {
        assert!(here.registry.scope(create(row(1, name))).await.is_ok());
        let rows: Cache<u64, Arc<Row>> = cache(&here.registry, "put-result");
        assert_eq!(rows.get(&1).map(|row| row.name.clone()).as_deref(), Some(name));
    }
    assert!(here.registry.scope(create(row(2, ""))).await.is_err());
    assert_eq!(stats(&here.registry, "put-result").entries, 1, "an error evicts nothing");
    there.hears("put-result", 2).await;
}

#[cache_put(cache = "put-option", key = id)]
async fn rename(id: u64, name: Option<u64>) -> Option<u64> {
    _ = id;
    name
}

#[cache_put(cache = "put-option", key = id, cache_none, none_ttl = Duration::from_secs(9))]
async fn rename_or_not(id: u64, name: Option<u64>) -> Result<Option<u64>, String> {
    _ = id;
    Ok(name)
}

#[cache_put(cache = "put-option", key = *result)]
async fn rename_by_result(name: Option<u64>) -> Option<u64> {
    name
}

#[cacheable(cache = "put-option", key = id)]
async fn name_of(calls: &Calls, id: u64) -> Option<u64> {
    calls.count().await;
    Some(id)
}

#[tokio::test]
async fn a_some_is_stored_and_a_none_evicts_the_key() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(rename(1, Some(7)).await, Some(7));
        assert_eq!((name_of(&calls, 1).await, calls.get()), (Some(7), 0));
        assert_eq!(rename(1, None).await, None);
        assert_eq!((name_of(&calls, 1).await, calls.get()), (Some(1), 1));
    };
    registry(&["put-option"]).await.scope(work).await;
}

#[tokio::test]
async fn a_none_without_a_key_does_nothing() {
    let calls = Calls::default();
    let registry = registry(&["put-option"]).await;
    let work = async {
        assert_eq!(rename_by_result(Some(7)).await, Some(7));
        assert_eq!(rename_by_result(None).await, None);
        assert_eq!((name_of(&calls, 7).await, calls.get()), (Some(7), 0));
    };
    registry.scope(work).await;
    assert_eq!(stats(&registry, "put-option").evicted, 1);
}

#[tokio::test]
async fn with_cache_none_a_none_is_put_for_as_long_as_none_ttl_says() {
    let calls = Calls::default();
    let (registry, clock) = clocked(&["put-option"]).await;
    let work = async {
        assert_eq!(rename_or_not(1, Some(7)).await, Ok(Some(7)));
        assert_eq!((name_of(&calls, 1).await, calls.get()), (Some(7), 0));
        assert_eq!(rename_or_not(1, None).await, Ok(None));
        assert_eq!((name_of(&calls, 1).await, calls.get()), (None, 0), "that there is none is known");
        clock.advance(Duration::from_secs(9));
        assert_eq!((name_of(&calls, 1).await, calls.get()), (Some(1), 1));
        assert_eq!(rename_or_not(1, Some(7)).await, Ok(Some(7)));
        clock.advance(Duration::from_secs(9));
        assert_eq!((name_of(&calls, 1).await, calls.get()), (Some(7), 1), "it is the ttl of a none");
    };
    registry.scope(work).await;
}

#[cache_put(cache = "put-unless", key = id, unless = *result > limit, condition = limit > 0)]
async fn limited(id: u64, limit: u64, value: u64) -> Answer {
    _ = id;
    Ok(value)
}

#[cache_put(cache = "put-unless", key = *result / 100, unless = *result > 199)]
async fn limited_by_result(value: u64) -> Answer {
    Ok(value)
}

#[tokio::test]
async fn a_value_that_is_refused_evicts_the_old_one_here_and_there() {
    let (here, there) = pair(&["put-unless"]).await;
    let [ours, theirs] = [&here, &there].map(|node| cache::<u64, u64>(&node.registry, "put-unless"));
    here.registry.scope(limited(1, 5, 5)).await.expect("Ok");
    there.hears("put-unless", 1).await;
    theirs.get_with(&1, async || 5).await;
    here.registry.scope(limited(1, 5, 6)).await.expect("Ok");
    assert_eq!(ours.get(&1), None);
    there.hears("put-unless", 2).await;
    assert_eq!(theirs.get(&1), None);

    here.registry.scope(limited_by_result(100)).await.expect("Ok");
    assert_eq!(ours.get(&1), Some(100));
    ours.get_with(&2, async || 2).await;
    here.registry.scope(limited_by_result(200)).await.expect("Ok");
    assert_eq!((ours.get(&1), ours.get(&2)), (Some(100), None));
}

#[tokio::test]
async fn a_put_whose_condition_is_false_is_its_body() {
    let registry = registry(&["put-unless"]).await;
    let numbers = cache::<u64, u64>(&registry, "put-unless");
    registry.scope(limited(1, 9, 5)).await.expect("Ok");
    assert_eq!(registry.scope(limited(1, 0, 6)).await, Ok(6));
    assert_eq!((numbers.get(&1), numbers.stats().evicted), (Some(5), 1));
}

#[cache_put(cache = "put-terms", key = id, ttl = Duration::from_secs(*result), tags = ["all", &format!("value:{result}")])]
async fn with_terms(id: u64, value: u64) -> Answer {
    _ = id;
    Ok(value)
}

#[tokio::test]
async fn a_put_entry_has_the_ttl_and_the_tags_that_are_said() {
    let (registry, clock) = clocked(&["put-terms"]).await;
    let numbers = cache::<u64, u64>(&registry, "put-terms");
    let held = || [1, 2, 3].map(|key| numbers.get(&key).is_some());
    for (id, value) in [(1, 10), (2, 20), (3, 20)] {
        registry.scope(with_terms(id, value)).await.expect("Ok");
    }
    clock.advance(Duration::from_secs(10));
    assert_eq!(held(), [false, true, true]);
    registry.scope(with_terms(3, 30)).await.expect("Ok");
    numbers.evict_tag("value:20");
    assert_eq!(held(), [false, false, true], "a put takes the place of the old entry and of its tags");
    numbers.evict_tag("all");
    assert_eq!(held(), [false; 3]);
    for value in [10, 0] {
        registry.scope(with_terms(1, value)).await.expect("Ok");
        assert_eq!(numbers.get(&1).is_some(), value > 0, "with a ttl of zero a put evicts");
    }
}

#[tokio::test]
async fn in_a_transaction_a_put_waits_for_the_commit() {
    let (registry, clock) = clocked(&["put"]).await;
    let numbers = cache::<u64, u64>(&registry, "put");
    let calls = Calls::default();
    numbers.insert(1, 1);
    let put_in = async |value| {
        let transaction = Transaction::begin();
        transaction.scope(registry.scope(put(&calls, 1, value))).await.expect("Ok");
        assert_eq!(transaction.scope(async { numbers.get(&1) }).await, None, "inside, the old value is not read");
        transaction
    };
    let transaction = put_in(10).await;
    assert_eq!(numbers.get(&1), Some(1));
    transaction.rollback();
    assert_eq!(numbers.get(&1), Some(1));

    put_in(20).await.commit();
    assert_eq!(numbers.get(&1), Some(20));

    put_in(30).await.commit_with(ready(Err(io::Error::other("reset")))).await.expect_err("reset");
    assert_evicted_with_a_hold(&numbers, &clock).await;
}

#[tokio::test]
async fn a_refused_put_of_a_transaction_evicts_at_the_commit() {
    let registry = registry(&["put-unless"]).await;
    let numbers = cache::<u64, u64>(&registry, "put-unless");
    numbers.insert(1, 1);
    let transaction = Transaction::begin();
    transaction.scope(registry.scope(limited(1, 5, 6))).await.expect("Ok");
    assert_eq!(numbers.get(&1), Some(1));
    transaction.commit();
    assert_eq!(numbers.get(&1), None);
}

#[tokio::test]
async fn of_several_puts_in_one_transaction_the_last_is_stored_also_by_an_inner_one() {
    let registry = registry(&["put"]).await;
    let calls = Calls::default();
    let outer = Transaction::begin();
    let inside = registry.scope(async {
        for value in [10, 20] {
            put(&calls, 1, value).await.expect("Ok");
            put(&calls, 2, value).await.expect("Ok");
        }
        let inner = Transaction::begin();
        inner.scope(put(&calls, 1, 30)).await.expect("Ok");
        inner.commit();
        let undone = Transaction::begin();
        undone.scope(put(&calls, 2, 40)).await.expect("Ok");
        undone.rollback();
    });
    outer.scope(inside).await;
    outer.commit();
    let numbers = cache::<u64, u64>(&registry, "put");
    assert_eq!([1, 2].map(|key| numbers.get(&key)), [Some(30), Some(20)]);
}

/// Key 1 is gone, nothing is kept of it for the settle time, and after that it is cached again.
async fn assert_evicted_with_a_hold(numbers: &Cache<u64, u64>, clock: &ManualClock) {
    for (advance, found) in [(Duration::ZERO, None), (SETTLE, Some(5))] {
        clock.advance(advance);
        assert_eq!(numbers.get(&1), None);
        numbers.get_with(&1, async || 5).await;
        assert_eq!(numbers.get(&1), found);
    }
}

#[cache_put(cache = "put-doubt", key = id, registry = registry)]
async fn put_running(registry: &Registry, id: u64, body: impl Future<Output = Answer>) -> Answer {
    body.await
}

#[cache_put(cache = "put-doubt", key = *result, registry = registry)]
async fn put_by_result_running(registry: &Registry, body: impl Future<Output = Answer>) -> Answer {
    body.await
}

#[tokio::test]
async fn a_put_that_is_cancelled_or_panics_evicts_with_a_hold() {
    let (registry, clock) = clocked(&["put-doubt"]).await;
    let numbers = cache::<u64, u64>(&registry, "put-doubt");
    (1..=2).for_each(|key| numbers.insert(key, key));
    drop(put_running(&registry, 1, pending()));
    assert_eq!(numbers.get(&1), Some(1), "its body never began");

    drop(begun(put_running(&registry, 1, pending())).await);
    assert_eq!(numbers.get(&2), Some(2));
    assert_evicted_with_a_hold(&numbers, &clock).await;

    let panicking = AssertUnwindSafe(put_running(&registry, 1, async { panic!("on purpose") }));
    panicking.catch_unwind().await.expect_err("it panics");
    assert_eq!(numbers.get(&2), Some(2));
    assert_evicted_with_a_hold(&numbers, &clock).await;
}

#[tokio::test]
async fn a_put_whose_key_never_came_evicts_all_with_a_hold() {
    let (registry, clock) = clocked(&["put-doubt"]).await;
    let numbers = cache::<u64, u64>(&registry, "put-doubt");
    for attempt in 0..2 {
        (1..=2).for_each(|key| numbers.insert(key, key));
        if attempt == 0 {
            drop(begun(put_by_result_running(&registry, pending())).await);
        } else {
            let panicking = AssertUnwindSafe(put_by_result_running(&registry, async { panic!("on purpose") }));
            panicking.catch_unwind().await.expect_err("it panics");
        }
        assert_eq!(numbers.get(&2), None);
        assert_evicted_with_a_hold(&numbers, &clock).await;
    }
}

#[tokio::test]
async fn a_put_that_is_cancelled_in_a_transaction_evicts_with_it() {
    let registry = registry(&["put-doubt"]).await;
    let numbers = cache::<u64, u64>(&registry, "put-doubt");
    (1..=2).for_each(|key| numbers.insert(key, key));
    let transaction = Transaction::begin();
    drop(begun(transaction.scope(put_running(&registry, 1, pending()))).await);
    assert_eq!(numbers.get(&1), Some(1));
    transaction.commit();
    assert_eq!((numbers.get(&1), numbers.get(&2)), (None, Some(2)));

    let transaction = Transaction::begin();
    drop(begun(transaction.scope(put_by_result_running(&registry, pending()))).await);
    transaction.commit();
    assert_eq!(numbers.get(&2), None);
}

#[cache_put(cache = "put-requires", key = id, requires_transaction)]
async fn put_in_transaction(id: u64) -> Answer {
    Ok(id)
}

#[tokio::test]
async fn a_put_that_requires_a_transaction_says_when_there_is_none_and_puts() {
    let (here, there) = pair(&["put-requires"]).await;
    let problems = || {
        let caches = here.registry.describe().caches;
        caches.into_iter().find(|cache| cache.name == "put-requires").expect("configured").problems
    };
    let transaction = Transaction::begin();
    transaction.scope(here.registry.scope(put_in_transaction(1))).await.expect("Ok");
    transaction.commit();
    assert_eq!(problems(), [""; 0]);
    for id in [2, 3] {
        here.registry.scope(put_in_transaction(id)).await.expect("Ok");
    }
    assert_eq!(problems().len(), 1);
    assert!(problems()[0].contains("put_in_transaction") && problems()[0].contains("outside of a transaction"));
    assert_eq!(cache::<u64, u64>(&here.registry, "put-requires").len(), 3);
    there.hears("put-requires", 3).await;
}
