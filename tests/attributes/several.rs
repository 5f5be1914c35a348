//! Functions with a list of caches: read in order, filled and evicted in all.

use std::future::{pending, ready};

use cachesync::{Registry, Transaction, cache_evict, cache_put, cacheable};
use cachesync_tests::gate::Gate;

use crate::{
    Calls,
    nodes::{begun, behind, cache, end, pair, registry},
};

const NAMES: [&str; 3] = ["several-a", "several-b", "several-c"];

#[cacheable(cache = ["several-a", "several-b", "several-c"], key = id, tags = ["all"], unless = *result == 666)]
async fn load(calls: &Calls, id: u64, value: u64) -> Result<u64, String> {
    _ = id;
    calls.count().await;
    Ok(value)
}

#[cache_put(cache = ["several-a", "several-b", "several-c"], key = id)]
async fn put(id: u64, value: u64) -> Result<u64, String> {
    _ = id;
    if value == 0 { Err("refused".into()) } else { Ok(value) }
}

#[cache_put(cache = ["several-a", "several-b"], key = *result % 10)]
async fn put_by_result(value: u64) -> u64 {
    value
}

#[cache_evict(cache = ["several-a", "several-b", "several-c"], key = id)]
async fn save(id: u64) -> Result<(), String> {
    if id == 0 { Err("refused".into()) } else { Ok(()) }
}

#[cache_evict(cache = ["several-a", "several-c"], all)]
async fn save_all() {}

#[cache_evict(cache = ["several-a", "several-b"], tag = "all")]
async fn save_tagged() {}

/// What key 1 is in each of the caches.
fn found(registry: &Registry) -> [Option<u64>; 3] {
    NAMES.map(|name| cache::<u64, u64>(registry, name).get(&1))
}

#[tokio::test]
async fn a_load_fills_all_and_reads_the_first_that_has_it() {
    let calls = Calls::default();
    let registry = registry(&NAMES).await;
    registry.scope(load(&calls, 1, 7)).await.expect("Ok");
    assert_eq!((found(&registry), calls.get()), ([Some(7); 3], 1));

    for (index, name) in NAMES.into_iter().enumerate() {
        cache(&registry, name).insert(1u64, index as u64);
    }
    for (index, name) in NAMES.into_iter().enumerate() {
        assert_eq!(registry.scope(load(&calls, 1, 7)).await, Ok(index as u64), "in order");
        cache::<u64, u64>(&registry, name).evict(&1);
    }
    assert_eq!((found(&registry), calls.get()), ([None; 3], 1));
}

/// Copying it could bring back what was evicted from the earlier cache.
#[tokio::test]
async fn a_value_of_a_later_cache_is_not_copied_to_earlier_ones() {
    let calls = Calls::default();
    let registry = registry(&NAMES).await;
    cache(&registry, "several-c").insert(1u64, 3u64);
    assert_eq!(registry.scope(load(&calls, 1, 7)).await, Ok(3));
    assert_eq!((found(&registry), calls.get()), ([None, None, Some(3)], 0));
}

#[tokio::test]
async fn a_value_that_is_refused_is_kept_in_none() {
    let registry = registry(&NAMES).await;
    registry.scope(load(&Calls::default(), 1, 666)).await.expect("Ok");
    assert_eq!(found(&registry), [None; 3]);
}

#[tokio::test]
async fn evictions_and_puts_take_place_in_all_here_and_there() {
    let (here, there) = pair(&NAMES).await;
    let calls = Calls::default();
    for node in [&here, &there] {
        node.registry.scope(load(&calls, 1, 7)).await.expect("Ok");
    }
    here.registry.scope(put(1, 0)).await.expect_err("refused");
    here.registry.scope(save(0)).await.expect_err("refused");
    assert_eq!([found(&here.registry), found(&there.registry)], [[Some(7); 3]; 2]);
    here.registry.scope(put(1, 8)).await.expect("Ok");
    assert_eq!(found(&here.registry), [Some(8); 3]);
    for name in NAMES {
        there.hears(name, 1).await;
    }
    assert_eq!(found(&there.registry), [None; 3]);

    there.registry.scope(load(&calls, 1, 7)).await.expect("Ok");
    here.registry.scope(save(1)).await.expect("Ok");
    for name in NAMES {
        there.hears(name, 2).await;
    }
    assert_eq!([found(&here.registry), found(&there.registry)], [[None; 3]; 2]);
}

#[tokio::test]
async fn each_attribute_has_its_own_list() {
    let calls = Calls::default();
    let registry = registry(&NAMES).await;
    registry.scope(load(&calls, 1, 7)).await.expect("Ok");
    registry.scope(save_all()).await;
    assert_eq!(found(&registry), [None, Some(7), None]);
    registry.scope(put_by_result(11)).await;
    assert_eq!(found(&registry), [Some(11), Some(11), None]);
    cache::<u64, u64>(&registry, "several-a").evict_all();
    cache::<u64, u64>(&registry, "several-b").evict_all();
    registry.scope(load(&calls, 1, 7)).await.expect("Ok");
    registry.scope(save_tagged()).await;
    assert_eq!(found(&registry), [None, None, Some(7)]);
}

#[tokio::test]
async fn a_cache_that_is_not_configured_is_left_out() {
    for missing in NAMES {
        let names: Vec<_> = NAMES.into_iter().filter(|name| *name != missing).collect();
        let registry = registry(&names).await;
        let calls = Calls::default();
        let work = async {
            for _ in 0..2 {
                assert_eq!(load(&calls, 1, 7).await, Ok(7));
            }
            for name in &names {
                assert_eq!(cache::<u64, u64>(&registry, name).get(&1), Some(7));
            }
            put(1, 8).await.expect("Ok");
            assert_eq!(load(&calls, 1, 7).await, Ok(8));
            save(1).await.expect("Ok");
            assert_eq!(load(&calls, 1, 7).await, Ok(7));
        };
        registry.scope(work).await;
        assert_eq!(calls.get(), 2, "without {missing}");
    }
}

#[tokio::test]
async fn in_a_transaction_what_is_pending_in_one_cache_is_read_from_none_that_it_hides() {
    let calls = Calls::default();
    let registry = registry(&NAMES).await;
    registry.scope(load(&calls, 1, 7)).await.expect("Ok");
    let transaction = Transaction::begin();
    let inside = registry.scope(async {
        save_all().await;
        assert_eq!(load(&calls, 1, 8).await, Ok(7), "of the one in between");
        save(1).await.expect("Ok");
        assert_eq!(load(&calls, 1, 8).await, Ok(8));
    });
    transaction.scope(inside).await;
    assert_eq!(found(&registry), [Some(7); 3]);
    transaction.commit();
    assert_eq!(found(&registry), [None; 3]);
}

#[cacheable(cache = ["several-race-a", "several-race-b"], key = id, registry = registry)]
async fn running(registry: &Registry, id: u64, body: impl Future<Output = u64>) -> u64 {
    body.await
}

#[tokio::test]
async fn an_eviction_from_one_overtakes_there_and_the_others_keep_the_value() {
    let names = ["several-race-a", "several-race-b"];
    for (evicted, left) in [(0, [None, Some(1)]), (1, [Some(1), None])] {
        let (here, there) = pair(&names).await;
        let gate = Gate::new();
        let loading = begun(running(&here.registry, 1, behind(&gate, 1))).await;
        cache::<u64, u64>(&there.registry, names[evicted]).evict(&1);
        here.hears(names[evicted], 1).await;
        assert_eq!(end(&gate, loading).await, 1);
        assert_eq!(names.map(|name| cache::<u64, u64>(&here.registry, name).get(&1)), left);
    }
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_load() {
    let registry = registry(&["several-race-a", "several-race-b"]).await;
    let gate = Gate::new();
    let leading = begun(running(&registry, 1, behind(&gate, 1))).await;
    let waiting = begun(running(&registry, 1, pending())).await;
    assert_eq!((end(&gate, leading).await, waiting.await), (1, 1));
    drop(begun(running(&registry, 2, pending())).await);
    assert_eq!(running(&registry, 2, ready(2)).await, 2, "and one that was dropped is in nobody's way");
}

#[cache_evict(cache = ["several-a", "several-b"], key = id)]
async fn never(id: u64) {
    pending::<()>().await;
}

#[tokio::test]
async fn a_cancelled_eviction_takes_place_in_all() {
    let registry = registry(&NAMES).await;
    registry.scope(load(&Calls::default(), 1, 7)).await.expect("Ok");
    drop(begun(registry.scope(never(1))).await);
    assert_eq!(found(&registry), [None, None, Some(7)]);
}
