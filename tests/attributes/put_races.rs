//! R1 for puts: what an eviction or another put overtook is never left in the cache.

use std::future::ready;

use cachesync::{Cache, CacheConfig, Registry, Transaction, cache_evict, cache_put, cacheable};
use cachesync_tests::{
    gate::Gate,
    wait::{DEADLINE, eventually},
};

use crate::nodes::{Begun, Node, begun, behind, cache, end, pair, registry, stats};

type Answer = Result<u64, String>;

#[cache_put(cache = "put-race", key = id, tags = ["numbers"], registry = registry)]
async fn put(registry: &Registry, id: u64, body: impl Future<Output = Answer>) -> Answer {
    _ = id;
    body.await
}

#[cache_put(cache = "put-race", key = *result % 10, tags = ["numbers"], registry = registry)]
async fn put_by_result(registry: &Registry, body: impl Future<Output = Answer>) -> Answer {
    body.await
}

#[cacheable(cache = "put-race", key = id, registry = registry)]
async fn load(registry: &Registry, id: u64, body: impl Future<Output = Answer>) -> Answer {
    _ = id;
    body.await
}

#[cache_evict(cache = "put-race", tag = "numbers", registry = registry)]
async fn evict_tagged(registry: &Registry) {}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "put-race")
}

/// A put of 11 under key 1, by parameter or by result, that has begun.
async fn putting(registry: &Registry, by_result: bool, gate: &Gate, value: u64) -> Begun<impl Future<Output = Answer>> {
    let registry = registry.clone();
    let gate = gate.clone();
    begun(async move {
        let body = behind(&gate, Ok(value));
        if by_result { put_by_result(&registry, body).await } else { put(&registry, 1, body).await }
    })
    .await
}

#[tokio::test]
async fn two_puts_of_one_key_that_overlap_leave_it_absent_in_whatever_order_they_end() {
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        for first_ends_first in [true, false] {
            let registry = registry(&["put-race"]).await;
            numbers(&registry).insert(1, 1);
            let gates = [Gate::new(), Gate::new()];
            let one = putting(&registry, first, &gates[0], 11).await;
            let other = putting(&registry, second, &gates[1], 21).await;
            if first_ends_first {
                assert_eq!((end(&gates[0], one).await, end(&gates[1], other).await), (Ok(11), Ok(21)));
            } else {
                assert_eq!((end(&gates[1], other).await, end(&gates[0], one).await), (Ok(21), Ok(11)));
            }
            let what = format!("by result: {first}, {second}; in order: {first_ends_first}");
            assert_eq!(numbers(&registry).get(&1), None, "which is newer is not known ({what})");
            put(&registry, 1, ready(Ok(31))).await.expect("Ok");
            assert_eq!(numbers(&registry).get(&1), Some(31), "{what}");
        }
    }
}

/// A put whose key is not known yet cannot be asked about, so it is refused whatever the predicate chooses.
#[tokio::test]
async fn a_put_that_an_eviction_by_predicate_overtook_is_not_left() {
    for (by_result, chosen) in [(false, 1), (true, 1), (true, 2)] {
        let registry = registry(&["put-race"]).await;
        let gate = Gate::new();
        let putting = putting(&registry, by_result, &gate, 11).await;
        numbers(&registry).evict_if(|key| *key == chosen);
        assert_eq!(end(&gate, putting).await, Ok(11));
        assert_eq!(numbers(&registry).get(&1), None, "by result: {by_result}, chosen: {chosen}");
    }
}

#[tokio::test]
async fn puts_one_after_the_other_leave_the_last_value() {
    let registry = registry(&["put-race"]).await;
    for (by_result, value) in [(false, 11), (true, 21), (true, 31), (false, 41)] {
        let gate = Gate::new();
        end(&gate, putting(&registry, by_result, &gate, value).await).await.expect("Ok");
        assert_eq!(numbers(&registry).get(&1), Some(value));
    }
}

#[tokio::test]
async fn puts_of_different_keys_do_not_overtake_each_other() {
    let registry = registry(&["put-race"]).await;
    let gates = [Gate::new(), Gate::new()];
    let one = begun(put(&registry, 1, behind(&gates[0], Ok(11)))).await;
    let other = begun(put(&registry, 2, behind(&gates[1], Ok(22)))).await;
    end(&gates[0], one).await.expect("Ok");
    end(&gates[1], other).await.expect("Ok");
    assert_eq!((numbers(&registry).get(&1), numbers(&registry).get(&2)), (Some(11), Some(22)));
}

async fn overtaken_by(evict: impl AsyncFn(&Node, &Node)) {
    for by_result in [false, true] {
        let (here, there) = pair(&["put-race"]).await;
        let ours = numbers(&here.registry);
        ours.insert(1, 1);
        there.hears("put-race", 1).await;
        let gate = Gate::new();
        let putting = putting(&here.registry, by_result, &gate, 11).await;
        evict(&here, &there).await;
        assert_eq!(end(&gate, putting).await, Ok(11));
        assert_eq!(ours.get(&1), None, "what was overtaken is not kept (by result: {by_result})");
        put(&here.registry, 1, ready(Ok(21))).await.expect("Ok");
        assert_eq!(ours.get(&1), Some(21), "what began after it is (by result: {by_result})");
    }
}

#[tokio::test]
async fn a_put_overtaken_by_a_local_eviction_is_not_kept() {
    overtaken_by(async |here, _| numbers(&here.registry).evict(&1)).await;
}

/// So many that they are evicted in several portions, of which the key is in the last.
fn many() -> impl Iterator<Item = u64> {
    (0..2_500).rev()
}

#[tokio::test]
async fn a_put_overtaken_by_a_local_eviction_of_many_is_not_kept() {
    overtaken_by(async |here, _| numbers(&here.registry).evict_many(many())).await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_remote_eviction_of_many_is_not_kept() {
    overtaken_by(async |here, there| {
        numbers(&there.registry).evict_many(many());
        here.hears("put-race", 2_500).await;
    })
    .await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_local_eviction_of_all_is_not_kept() {
    overtaken_by(async |here, _| numbers(&here.registry).evict_all()).await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_local_eviction_of_its_tag_is_not_kept() {
    overtaken_by(async |here, _| evict_tagged(&here.registry).await).await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_remote_eviction_is_not_kept() {
    overtaken_by(async |here, there| {
        numbers(&there.registry).evict(&1);
        here.hears("put-race", 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_remote_eviction_of_all_is_not_kept() {
    overtaken_by(async |here, there| {
        numbers(&there.registry).evict_all();
        here.hears("put-race", 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_remote_eviction_of_its_tag_is_not_kept() {
    overtaken_by(async |here, there| {
        evict_tagged(&there.registry).await;
        here.hears("put-race", 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_remote_put_is_not_kept() {
    overtaken_by(async |here, there| {
        put(&there.registry, 1, ready(Ok(21))).await.expect("Ok");
        here.hears("put-race", 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_put_overtaken_by_the_clear_after_a_lost_session_is_not_kept() {
    overtaken_by(async |here, _| {
        here.backend.cut();
        eventually(DEADLINE, || here.registry.stats().sessions == 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_put_overtaken_by_a_commit_is_not_kept() {
    overtaken_by(async |here, _| {
        let transaction = Transaction::begin();
        transaction.scope(async { numbers(&here.registry).evict(&1) }).await;
        transaction.commit();
    })
    .await;
}

#[tokio::test]
async fn an_eviction_of_another_key_or_tag_overtakes_no_put_that_knows_its_key() {
    let registry = registry(&["put-race"]).await;
    let gate = Gate::new();
    let putting = putting(&registry, false, &gate, 11).await;
    (2..1_000).for_each(|other| numbers(&registry).evict(&other));
    numbers(&registry).evict_tag("another");
    end(&gate, putting).await.expect("Ok");
    assert_eq!(numbers(&registry).get(&1), Some(11));
}

#[tokio::test]
async fn a_load_in_flight_during_a_put_does_not_replace_its_value() {
    for by_result in [false, true] {
        // It begins before the put, or while the body of the put runs.
        for load_first in [true, false] {
            let registry = registry(&["put-race"]).await;
            let (gate, load_gate) = (Gate::new(), Gate::new());
            let early =
                if load_first { Some(begun(load(&registry, 1, behind(&load_gate, Ok(1)))).await) } else { None };
            let putting = putting(&registry, by_result, &gate, 11).await;
            let loading = match early {
                Some(loading) => loading,
                None => begun(load(&registry, 1, behind(&load_gate, Ok(1)))).await,
            };
            end(&gate, putting).await.expect("Ok");
            assert_eq!(end(&load_gate, loading).await, Ok(1));
            assert_eq!(numbers(&registry).get(&1), Some(11), "by result: {by_result}, load first: {load_first}");
        }
    }
}

#[tokio::test]
async fn a_load_that_ends_during_a_put_is_replaced_by_its_value() {
    for by_result in [false, true] {
        let registry = registry(&["put-race"]).await;
        let gate = Gate::new();
        let putting = putting(&registry, by_result, &gate, 11).await;
        load(&registry, 1, ready(Ok(1))).await.expect("Ok");
        assert_eq!(numbers(&registry).get(&1), Some(1));
        end(&gate, putting).await.expect("Ok");
        assert_eq!(numbers(&registry).get(&1), Some(11), "by result: {by_result}");
    }
}

#[tokio::test]
async fn nobody_waits_for_the_body_of_a_put() {
    let registry = registry(&["put-race"]).await;
    let gate = Gate::new();
    let putting = putting(&registry, false, &gate, 11).await;
    assert_eq!(load(&registry, 1, ready(Ok(1))).await, Ok(1));
    end(&gate, putting).await.expect("Ok");
}

#[tokio::test]
async fn a_put_of_a_transaction_that_is_overtaken_before_the_commit_leaves_the_key_absent() {
    for by_result in [false, true] {
        let registry = registry(&["put-race"]).await;
        let transaction = Transaction::begin();
        let gate = Gate::new();
        gate.let_through(1);
        let put_inside = async {
            let body = behind(&gate, Ok(11));
            if by_result { put_by_result(&registry, body).await } else { put(&registry, 1, body).await }
        };
        transaction.scope(put_inside).await.expect("Ok");
        put(&registry, 1, ready(Ok(21))).await.expect("Ok");
        transaction.commit();
        assert_eq!(numbers(&registry).get(&1), None, "which is newer is not known (by result: {by_result})");
    }
}

#[cache_put(cache = "put-race-first", key = *result, registry = registry)]
async fn first_put(registry: &Registry, body: impl Future<Output = Answer>) -> Answer {
    body.await
}

#[cache_evict(cache = "put-race-first", key = id, registry = registry)]
async fn first_eviction(registry: &Registry, id: u64) {
    _ = id;
}

#[cache_evict(cache = "put-race-first", all, registry = registry)]
async fn first_eviction_of_all(registry: &Registry) {}

/// Nothing has been cached yet, so nothing is there that could take note of the eviction but the name.
#[tokio::test]
async fn an_eviction_before_the_cache_is_in_use_overtakes_a_put_whose_key_is_in_the_result() {
    for all in [false, true] {
        let registry = registry(&["put-race-first"]).await;
        let gate = Gate::new();
        let putting = begun(first_put(&registry, behind(&gate, Ok(1)))).await;
        if all {
            first_eviction_of_all(&registry).await;
        } else {
            first_eviction(&registry, 1).await;
        }
        end(&gate, putting).await.expect("Ok");
        assert_eq!(stats(&registry, "put-race-first").entries, 0, "all: {all}");
        first_put(&registry, ready(Ok(1))).await.expect("Ok");
        assert_eq!(stats(&registry, "put-race-first").entries, 1, "all: {all}");
    }
}

#[tokio::test]
async fn a_remote_eviction_before_the_cache_is_in_use_overtakes_a_put_too() {
    let (here, there) = pair(&["put-race-first"]).await;
    let gate = Gate::new();
    let putting = begun(first_put(&here.registry, behind(&gate, Ok(1)))).await;
    first_eviction(&there.registry, 1).await;
    here.hears("put-race-first", 1).await;
    end(&gate, putting).await.expect("Ok");
    assert_eq!(stats(&here.registry, "put-race-first").entries, 0);
}

/// Announcement first, value second: whichever is told first, one of the two nodes hears of the other in time.
#[tokio::test]
async fn two_nodes_that_put_one_key_at_the_same_time_do_not_both_keep_their_value() {
    for by_result in [false, true] {
        let (here, there) = pair(&["put-race"]).await;
        let gates = [Gate::new(), Gate::new()];
        let one = putting(&here.registry, by_result, &gates[0], 11).await;
        let other = putting(&there.registry, by_result, &gates[1], 21).await;
        end(&gates[0], one).await.expect("Ok");
        there.hears("put-race", 1).await;
        end(&gates[1], other).await.expect("Ok");
        here.hears("put-race", 1).await;
        assert_eq!((numbers(&here.registry).get(&1), numbers(&there.registry).get(&1)), (None, None));
    }
}

#[tokio::test]
async fn a_put_on_a_node_that_only_evicts_overtakes_elsewhere() {
    let (here, there) = pair(&["put-race"]).await;
    let config = CacheConfig::evict_only("put-race");
    let builder = Registry::builder().namespace("attributes").unknown_caches(cachesync::UnknownCaches::Bypass);
    let writer = builder.cache(config).backend(there.backend.clone()).start().await.expect("starts");
    let gate = Gate::new();
    let loading = begun(load(&here.registry, 1, behind(&gate, Ok(1)))).await;
    put(&writer, 1, ready(Ok(11))).await.expect("Ok");
    here.hears("put-race", 1).await;
    end(&gate, loading).await.expect("Ok");
    assert_eq!(numbers(&here.registry).get(&1), None);
}

/// Each key is remembered by itself, so puts of other keys do not stand in each other's way.
#[tokio::test]
async fn puts_by_result_of_one_transaction_are_all_kept() {
    let registry = registry(&["put-race-many"]).await;
    let transaction = Transaction::begin();
    let puts = async {
        for value in 0..1_000 {
            put_many(&registry, ready(Ok(value))).await.expect("it puts");
        }
    };
    transaction.scope(puts).await;
    transaction.commit();
    assert_eq!(cache::<u64, u64>(&registry, "put-race-many").len(), 1_000);
}

#[cache_put(cache = "put-race-many", key = *result, registry = registry)]
async fn put_many(registry: &Registry, body: impl Future<Output = Answer>) -> Answer {
    body.await
}
