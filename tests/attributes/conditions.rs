//! `condition` and `unless`: calls and answers that the cache has no part in.

use std::future::pending;

use cachesync::{Cache, Registry, Transaction, cache_evict, cacheable};
use cachesync_tests::gate::Gate;

use crate::{
    Calls,
    nodes::{begun, behind, cache, end, pair, registry, stats},
};

#[cacheable(cache = "condition", key = id, condition = *id < 100 && !fresh)]
async fn load(calls: &Calls, id: &u64, fresh: bool) -> u64 {
    _ = fresh;
    *id + u64::from(calls.count().await)
}

#[tokio::test]
async fn a_call_whose_condition_is_false_neither_reads_nor_fills() {
    let calls = Calls::default();
    let registry = registry(&["condition"]).await;
    let work = async {
        assert_eq!(load(&calls, &1, true).await, 2);
        assert_eq!(load(&calls, &1, false).await, 3, "nothing was kept");
        assert_eq!(load(&calls, &1, true).await, 4, "and what is kept is not read");
        assert_eq!(load(&calls, &1, false).await, 3);
        assert_eq!(load(&calls, &100, false).await, 104);
        assert_eq!(load(&calls, &100, false).await, 105);
    };
    registry.scope(work).await;
    assert_eq!((stats(&registry, "condition").loads, stats(&registry, "condition").entries), (1, 1));
}

#[cacheable(cache = "condition-race", key = id, condition = !fresh, registry = registry)]
async fn running(registry: &Registry, id: u64, fresh: bool, body: impl Future<Output = u64>) -> u64 {
    _ = fresh;
    body.await
}

#[tokio::test]
async fn a_call_whose_condition_is_false_does_not_wait_nor_is_waited_for() {
    let registry = registry(&["condition-race"]).await;
    let gates = [Gate::new(), Gate::new()];
    let cached = begun(running(&registry, 1, false, behind(&gates[0], 1))).await;
    assert_eq!(running(&registry, 1, true, async { 2 }).await, 2);
    assert_eq!(end(&gates[0], cached).await, 1);

    numbers(&registry).evict(&1);
    let uncached = begun(running(&registry, 1, true, behind(&gates[1], 3))).await;
    assert_eq!(running(&registry, 1, false, async { 4 }).await, 4);
    assert_eq!(end(&gates[1], uncached).await, 3);
    assert_eq!(numbers(&registry).get(&1), Some(4));
}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "condition-race")
}

#[cacheable(cache = "unless", key = id, unless = *result > limit || calls.get() > 9)]
async fn limited(calls: &Calls, id: u64, limit: u64) -> Result<Option<u64>, String> {
    _ = limit;
    calls.count().await;
    Ok(Some(id * 10))
}

#[tokio::test]
async fn a_value_that_is_refused_is_returned_and_not_kept() {
    let calls = Calls::default();
    let work = async {
        for calls_by_now in [1, 2] {
            assert_eq!(limited(&calls, 1, 9).await, Ok(Some(10)));
            assert_eq!(calls.get(), calls_by_now);
        }
        for _ in 0..2 {
            assert_eq!(limited(&calls, 1, 10).await, Ok(Some(10)));
            assert_eq!(calls.get(), 3);
        }
        assert_eq!(limited(&calls, 1, 0).await, Ok(Some(10)), "what is there was not refused");
        assert_eq!(calls.get(), 3);
    };
    registry(&["unless"]).await.scope(work).await;
}

#[cacheable(cache = "unless-race", key = id, unless = *result == 7, registry = registry)]
async fn refused(registry: &Registry, id: u64, body: impl Future<Output = u64>) -> u64 {
    body.await
}

#[tokio::test]
async fn a_value_that_is_refused_answers_those_who_wait_for_it() {
    let registry = registry(&["unless-race"]).await;
    let gate = Gate::new();
    let leading = begun(refused(&registry, 1, behind(&gate, 7))).await;
    let waiting = begun(refused(&registry, 1, pending())).await;
    assert_eq!(end(&gate, leading).await, 7);
    assert_eq!(waiting.await, 7);
    assert_eq!(cache::<u64, u64>(&registry, "unless-race").get(&1), None);
}

#[cache_evict(cache = "evict-if", key = id, condition = id > 1, unless = *result == 0)]
async fn save(id: u64, value: u64) -> Result<u64, String> {
    _ = id;
    tokio::task::yield_now().await;
    Ok(value)
}

#[cache_evict(cache = "evict-if", all, before, condition = all)]
async fn save_all(all: bool) {
    tokio::task::yield_now().await;
}

#[cache_evict(cache = "evict-if", key = *result, always, unless = *result == 2)]
async fn save_always(value: Result<u64, String>) -> Result<u64, String> {
    value
}

fn fill(registry: &Registry) {
    (1..=3).for_each(|key| cache::<u64, u64>(registry, "evict-if").insert(key, key));
}

fn held(registry: &Registry) -> Vec<u64> {
    (1..=3).filter(|key| cache::<u64, u64>(registry, "evict-if").get(key).is_some()).collect()
}

#[tokio::test]
async fn an_eviction_takes_place_if_its_condition_is_true_unless_the_result_says_no() {
    let (here, there) = pair(&["evict-if"]).await;
    let registry = &here.registry;
    fill(registry);
    there.hears("evict-if", 3).await;
    let work = async {
        save(1, 5).await.expect("Ok");
        assert_eq!(held(registry), [1, 2, 3], "the condition is false");
        save(2, 0).await.expect("Ok");
        assert_eq!(held(registry), [1, 2, 3], "the result says no");
        save_always(Ok(2)).await.expect("Ok");
        assert_eq!(held(registry), [1, 2, 3], "the result says no");
        save(2, 5).await.expect("Ok");
        assert_eq!(held(registry), [1, 3]);
        save_all(false).await;
        assert_eq!(held(registry), [1, 3]);
        save_always(Err("perhaps written".into())).await.expect_err("an error");
        assert_eq!(held(registry), [0; 0], "without a result nothing says no");
    };
    registry.scope(work).await;
    there.hears("evict-if", 5).await;
    assert_eq!(stats(registry, "evict-if").evicted, 5, "three puts and two evictions");
    fill(registry);
    registry.scope(save_all(true)).await;
    assert_eq!(held(registry), [0; 0]);
}

#[tokio::test]
async fn a_cancelled_eviction_whose_condition_was_false_evicts_nothing_and_one_with_unless_evicts() {
    let registry = registry(&["evict-if"]).await;
    fill(&registry);
    drop(begun(registry.scope(save(1, 5))).await);
    assert_eq!(held(&registry), [1, 2, 3]);
    drop(begun(registry.scope(save(2, 0))).await);
    assert_eq!(held(&registry), [1, 3], "whether the result would have said no is not known");
}

#[tokio::test]
async fn in_a_transaction_what_is_refused_is_not_pending() {
    let registry = registry(&["evict-if"]).await;
    fill(&registry);
    let transaction = Transaction::begin();
    let work = registry.scope(async {
        save(2, 0).await.expect("Ok");
        assert_eq!(held(&registry), [1, 2, 3]);
        save(2, 1).await.expect("Ok");
        assert_eq!(held(&registry), [1, 3]);
    });
    transaction.scope(work).await;
    transaction.commit();
    assert_eq!(held(&registry), [1, 3]);
}
