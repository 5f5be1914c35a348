//! Keys whose hashes are all the same: what becomes of one of them is none of the others' business; and what they are told
//! apart by may panic.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cachesync::{Cache, Registry, Transaction, cache_evict, cacheable};
use cachesync_tests::{
    gate::Gate,
    wait::{DEADLINE, within},
};
use futures_util::{FutureExt, future::join_all};
use serde::{Deserialize, Serialize};

use crate::nodes::{SETTLE, begun, behind, cache, clocked, registry, stats};

#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
struct Same(u64);

thread_local! {
    /// The comparison that panics, counted down.
    static PANICS_IN: Cell<Option<u32>> = const { Cell::new(None) };
}

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        let more = PANICS_IN.get();
        PANICS_IN.set(more.and_then(|more| more.checked_sub(1)));
        assert!(more != Some(0), "on purpose");
        self.0 == other.0
    }
}

impl Hash for Same {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

const KEYS: u64 = 9;

/// The keys of which an entry is there.
fn there<V: cachesync::Value>(cache: &Cache<Same, V>) -> Vec<u64> {
    (0..KEYS).filter(|key| cache.get(&Same(*key)).is_some()).collect()
}

#[cacheable(cache = "same-loads", key = Same(id), registry = registry)]
async fn load(registry: &Registry, gate: &Gate, id: u64, value: u64) -> u64 {
    _ = id;
    behind(gate, value).await
}

#[tokio::test]
async fn a_load_is_overtaken_by_the_evictions_of_its_own_key_and_shared_by_those_who_want_it() {
    let registry = registry(&["same-loads"]).await;
    let numbers: Cache<Same, u64> = cache(&registry, "same-loads");
    let gate = Gate::default();
    let mut loads = Vec::new();
    for id in 0..KEYS {
        loads.push(begun(load(&registry, &gate, id, id)).await);
    }
    // They wait for those, each for that of its key.
    for id in 0..KEYS {
        loads.push(begun(load(&registry, &gate, id, 100)).await);
    }
    // Not the last, nor in order: the last takes the place of one that is taken out.
    numbers.evict(&Same(3));
    numbers.evict_many([&Same(0), &Same(7)]);
    numbers.evict(&Same(20));
    gate.let_through(usize::try_from(KEYS).unwrap());
    let loaded = within(DEADLINE, join_all(loads)).await;
    assert_eq!(loaded, (0..KEYS).chain(0..KEYS).collect::<Vec<_>>());
    assert_eq!(there(&numbers), [1, 2, 4, 5, 6, 8]);
    let stats = stats(&registry, "same-loads");
    assert_eq!((stats.loads, stats.shared, stats.not_kept), (KEYS, KEYS, 3));
}

#[cacheable(cache = "same-held", key = Same(id), registry = registry)]
fn load_at_once(registry: &Registry, id: u64) -> u64 {
    id
}

#[tokio::test]
async fn a_key_is_held_and_pending_by_itself() {
    let (registry, clock) = clocked(&["same-held"]).await;
    let numbers: Cache<Same, u64> = cache(&registry, "same-held");
    let load_all = || (0..KEYS).for_each(|id| _ = load_at_once(&registry, id));
    load_all();
    let transaction = Transaction::begin();
    let within = async {
        numbers.evict_many([&Same(2), &Same(5)]);
        numbers.evict(&Same(2));
        assert_eq!(there(&numbers), [0, 1, 3, 4, 6, 7, 8], "what is pending is hidden");
    };
    transaction.scope(within).await;
    assert_eq!(there(&numbers).len(), 9, "from nobody else");
    let unknown = transaction.commit_with(async { Err::<(), _>(io::Error::other("on purpose")) }).await;
    assert!(unknown.is_err());
    numbers.evict_all();
    load_all();
    assert_eq!(there(&numbers), [0, 1, 3, 4, 6, 7, 8], "nothing is kept that is held");
    clock.advance(SETTLE);
    load_all();
    assert_eq!(there(&numbers).len(), 9);
}

#[cacheable(cache = "same-tags", key = Same(id), tags = [id % 2, 10 + id % 3], registry = registry)]
fn load_tagged(registry: &Registry, id: u64) -> u64 {
    id
}

#[cache_evict(cache = "same-tags", tag = tag, registry = registry)]
fn evict_tagged(registry: &Registry, tag: u64) {
    _ = tag;
}

#[tokio::test]
async fn each_key_carries_its_own_tags() {
    let registry = registry(&["same-tags"]).await;
    let numbers: Cache<Same, u64> = cache(&registry, "same-tags");
    for _ in 0..3 {
        (0..KEYS).for_each(|id| _ = load_tagged(&registry, id));
        numbers.evict(&Same(4));
        evict_tagged(&registry, 1);
        assert_eq!(there(&numbers), [0, 2, 6, 8]);
        let transaction = Transaction::begin();
        transaction.scope(async { evict_tagged(&registry, 12) }).await;
        let hidden = transaction.scope(async { there(&numbers) }).await;
        assert_eq!(hidden, [0, 6], "pending: of those that are there 2 and 8 carry it");
        transaction.commit();
        assert_eq!(there(&numbers), [0, 6]);
    }
}

/// Whether it came to its end before as many comparisons; with one more it panics.
fn survives(comparisons: u32, work: impl FnOnce()) -> bool {
    PANICS_IN.set(Some(comparisons));
    _ = catch_unwind(AssertUnwindSafe(work));
    PANICS_IN.take().is_some()
}

#[tokio::test]
async fn an_eviction_that_panics_at_any_comparison_leaves_nothing_that_it_meant_and_is_in_nobodys_way() {
    let registry = registry(&["same-tags"]).await;
    let numbers: Cache<Same, u64> = cache(&registry, "same-tags");
    let commit = |work: fn(&Cache<Same, u64>)| {
        let transaction = Transaction::begin();
        transaction.scope(async { work(&numbers) }).now_or_never().expect("it does not wait");
        transaction.commit();
    };
    let evictions: [(&str, &dyn Fn()); 5] = [
        ("key", &|| numbers.evict(&Same(3))),
        ("keys", &|| numbers.evict_many([&Same(5), &Same(3), &Same(1)])),
        ("tag", &|| numbers.evict_tag(1)),
        ("all", &|| numbers.evict_all()),
        ("commit", &|| commit(|numbers| numbers.evict(&Same(3)))),
    ];
    for (what, evict) in evictions {
        let mut comparisons = 0;
        loop {
            (0..KEYS).for_each(|id| _ = load_tagged(&registry, id));
            assert_eq!(there(&numbers).len(), 9, "{what}: after {comparisons}");
            // Of a load in flight nothing may be kept either.
            let reservation = numbers.reserve(&Same(3));
            let survives = survives(comparisons, evict);
            // The transaction whose eviction is not noted has an owner who knows.
            let is_meant = what != "commit" || survives;
            let filled = reservation.fill(100);
            assert!(!is_meant || !filled && numbers.get(&Same(3)).is_none(), "{what}: after {comparisons}");
            if survives {
                break;
            }
            comparisons += 1;
        }
        assert!(comparisons > 0 || what == "all", "{what}");
        assert!(comparisons < 1_000, "{what}");
    }
}
