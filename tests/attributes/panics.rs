//! Keys and values that panic while they are cloned: whatever was written, the old value is not left.

use std::{cell::Cell, panic::AssertUnwindSafe};

use cachesync::{Cache, Registry, Transaction, cache_evict, cache_put, cacheable};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use crate::{
    Calls,
    nodes::{cache, registry},
};

thread_local! {
    /// How many clones succeed before one panics.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A key, and a value, that may panic when it is cloned.
#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Touchy(u64);

impl Clone for Touchy {
    fn clone(&self) -> Self {
        if let Some(left) = FUSE.get() {
            FUSE.set(left.checked_sub(1));
            assert!(left > 0, "on purpose");
        }
        Self(self.0)
    }
}

const NAMES: [&str; 2] = ["touchy-a", "touchy-b"];

#[cache_put(cache = ["touchy-a", "touchy-b"], key = id)]
async fn put(calls: &Calls, id: &Touchy) -> Result<Touchy, String> {
    calls.count().await;
    Ok(Touchy(id.0 + 10))
}

#[cache_put(cache = ["touchy-a", "touchy-b"], key = Touchy(result.0 - 10))]
async fn put_by_owned_result(calls: &Calls) -> Touchy {
    calls.count().await;
    Touchy(11)
}

#[cache_evict(cache = ["touchy-a", "touchy-b"], key = id)]
async fn save(calls: &Calls, id: &Touchy) {
    calls.count().await;
}

#[cache_evict(cache = ["touchy-a", "touchy-b"], key = result)]
async fn save_by_result(calls: &Calls) -> Touchy {
    calls.count().await;
    Touchy(1)
}

#[cache_evict(cache = ["touchy-a", "touchy-b"], keys = [result, result])]
async fn save_several(calls: &Calls) -> Touchy {
    calls.count().await;
    Touchy(1)
}

/// Runs a function in which every clone panics once, the first, the second, and so on.
async fn at_every_clone<V: cachesync::Value + PartialEq + std::fmt::Debug>(
    names: [&str; 2],
    old: impl Fn() -> V,
    work: impl AsyncFn(&Calls),
) {
    let mut panicked_after_the_body = 0;
    for clones in 0.. {
        for in_transaction in [false, true] {
            let registry = registry(&names).await;
            let caches: [Cache<Touchy, V>; 2] = names.map(|name| cache(&registry, name));
            for cache in &caches {
                cache.insert(Touchy(1), old());
            }
            let calls = Calls::default();
            let transaction = in_transaction.then(Transaction::begin);
            FUSE.set(Some(clones));
            let call = registry.scope(work(&calls));
            let end = match &transaction {
                Some(transaction) => AssertUnwindSafe(transaction.scope(call)).catch_unwind().await,
                None => AssertUnwindSafe(call).catch_unwind().await,
            };
            if let Some(transaction) = transaction {
                transaction.commit();
            }
            let went_off = FUSE.take().is_none();
            let found = caches.each_ref().map(|cache| cache.get(&Touchy(1)));
            if calls.get() > 0 {
                panicked_after_the_body += u32::from(went_off);
                assert!(!found.contains(&Some(old())), "{found:?} at clone {clones}, in transaction: {in_transaction}");
            } else {
                assert!(end.is_err());
            }
            if !went_off && in_transaction {
                assert!(panicked_after_the_body > 0, "some clone comes after the body");
                return;
            }
        }
    }
}

#[tokio::test]
async fn after_a_put_that_panics_at_any_clone_the_old_value_is_not_left() {
    at_every_clone(NAMES, || Touchy(1), async |calls| _ = put(calls, &Touchy(1)).await).await;
}

#[tokio::test]
async fn after_a_put_by_its_result_that_panics_at_any_clone_the_old_value_is_not_left() {
    at_every_clone(NAMES, || Touchy(1), async |calls| _ = put_by_owned_result(calls).await).await;
}

#[tokio::test]
async fn after_an_eviction_that_panics_at_any_clone_the_old_value_is_not_left() {
    at_every_clone(NAMES, || Touchy(1), async |calls| save(calls, &Touchy(1)).await).await;
    at_every_clone(NAMES, || Touchy(1), async |calls| _ = save_by_result(calls).await).await;
    at_every_clone(NAMES, || Touchy(1), async |calls| _ = save_several(calls).await).await;
}

#[cacheable(cache = "touchy-load", key = id, registry = registry)]
async fn load(registry: &Registry, id: &Touchy) -> Touchy {
    tokio::task::yield_now().await;
    Touchy(id.0 + 10)
}

#[cacheable(cache = "touchy-load", keys = ids, registry = registry)]
async fn load_many(registry: &Registry, ids: Vec<Touchy>) -> Vec<(Touchy, Touchy)> {
    tokio::task::yield_now().await;
    ids.into_iter().map(|id| (Touchy(id.0), Touchy(id.0 + 10))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_load_that_panics_at_any_clone_is_in_nobodys_way() {
    let start = tokio::time::Instant::now();
    for clones in 0..40 {
        let registry = registry(&["touchy-load"]).await;
        FUSE.set(Some(clones));
        AssertUnwindSafe(load(&registry, &Touchy(1))).catch_unwind().await.ok();
        FUSE.set(Some(clones));
        AssertUnwindSafe(load_many(&registry, vec![Touchy(1), Touchy(2)])).catch_unwind().await.ok();
        FUSE.take();
        assert_eq!(load(&registry, &Touchy(1)).await, Touchy(11));
        assert_eq!(
            load_many(&registry, vec![Touchy(2), Touchy(3)]).await,
            [(Touchy(2), Touchy(12)), (Touchy(3), Touchy(13))]
        );
    }
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
}
