//! A key that panics when it is hashed or compared, in the middle of so many that they are evicted in several portions,
//! costs none of the others, neither here nor on other nodes.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
};

use cachesync::{Cache, CacheConfig, Transaction, memory::MemoryBackend};
use cachesync_tests::wait::{eventually, within};
use serde::{Deserialize, Serialize};

use crate::{
    logged::texts_logged,
    nodes::{DEADLINE, another, only},
    reentry::ends,
};

/// Two portions and a half, and who panics is in the second.
const KEYS: u32 = 2_500;
const PANICS: u32 = 1_500;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Armed {
    No,
    Hash,
    Eq,
}

thread_local! {
    static ARMED: Cell<Armed> = const { Cell::new(Armed::No) };
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Picky(u32);

impl Picky {
    fn may_panic(&self, over: Armed) {
        assert!(self.0 != PANICS || ARMED.get() != over, "on purpose");
    }
}

impl Hash for Picky {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.may_panic(Armed::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Picky {
    fn eq(&self, other: &Self) -> bool {
        self.may_panic(Armed::Eq);
        self.0 == other.0
    }
}

impl Eq for Picky {}

fn keys() -> Vec<Picky> {
    (0..KEYS).map(Picky).collect()
}

/// Evicts by `evict` on one of two nodes that have all keys, and looks that no node has any then.
async fn all_are_gone_after(armed: Armed, evict: impl AsyncFnOnce(Cache<Picky, u32>)) {
    let hub = MemoryBackend::new();
    let start = async || another(CacheConfig::new("picky"), hub.clone()).await;
    let (here, there) = (start().await, start().await);
    let [mine, theirs] = [&here, &there].map(|node| node.cache::<Picky, u32>("picky").expect("configured"));
    for key in 0..KEYS {
        mine.get_with(&Picky(key), async || key).await;
        theirs.get_with(&Picky(key), async || key).await;
    }
    assert_eq!((mine.len(), theirs.len()), (KEYS as usize, KEYS as usize));
    evict(mine.clone()).await;
    assert_eq!(mine.len(), 0, "here, {armed:?}");
    eventually(DEADLINE, || theirs.is_empty()).await;
}

fn panicking<T>(armed: Armed, work: impl FnOnce() -> T) -> Result<T, ()> {
    ARMED.set(armed);
    let ended = catch_unwind(AssertUnwindSafe(work));
    ARMED.set(Armed::No);
    ended.map_err(drop)
}

#[tokio::test]
async fn a_key_that_panics_among_many_that_are_evicted_by_hand_costs_none_of_them() {
    for armed in [Armed::Hash, Armed::Eq] {
        let evict = async |users: Cache<Picky, u32>| {
            let ended = panicking(armed, || users.evict_many(keys().iter()));
            assert_eq!(ended, Err(()), "the caller is told, {armed:?}");
        };
        all_are_gone_after(armed, evict).await;
    }
}

#[tokio::test]
async fn a_key_that_panics_among_many_of_a_commit_costs_none_of_them() {
    for armed in [Armed::Hash, Armed::Eq] {
        let evict = async |users: Cache<Picky, u32>| {
            let transaction = Transaction::begin();
            transaction.scope(async { users.evict_many(keys().iter()) }).await;
            let committed = panicking(armed, || transaction.commit()).expect("the commit does not panic");
            within(DEADLINE, committed.confirmed()).await.unwrap();
        };
        all_are_gone_after(armed, evict).await;
    }
}

#[tokio::test]
async fn a_key_that_panics_when_it_is_hashed_by_the_engine_takes_all_and_does_not_end_it() {
    let hub = MemoryBackend::new();
    let start = async || another(CacheConfig::new("picky"), hub.clone()).await;
    let (here, there) = (start().await, start().await);
    let [mine, theirs] = [&here, &there].map(|node| node.cache::<Picky, u32>("picky").expect("configured"));
    for key in [1, PANICS, 2] {
        theirs.get_with(&Picky(key), async || key).await;
    }
    mine.evict(&Picky(PANICS));
    ARMED.set(Armed::Hash);
    eventually(DEADLINE, || theirs.is_empty()).await;
    ARMED.set(Armed::No);
    theirs.get_with(&Picky(1), async || 1).await;
    mine.evict(&Picky(1));
    eventually(DEADLINE, || theirs.is_empty()).await;
    assert_eq!((there.stats().sessions, there.stats().bad_messages), (1, 1));
}

/// A key that evicts in its drop, and panics when it is hashed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Evicting(u32);

thread_local! {
    static CACHE: std::cell::RefCell<Option<Cache<Evicting, u32>>> = const { std::cell::RefCell::new(None) };
}

impl Hash for Evicting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(self.0 != PANICS || ARMED.get() != Armed::Hash, "on purpose");
        self.0.hash(state);
    }
}

impl Drop for Evicting {
    fn drop(&mut self) {
        if self.0 > PANICS && ARMED.get() == Armed::Hash {
            let cache = CACHE.with(|cache| cache.borrow().clone());
            cache.expect("it is used in the test").evict(&Self(1));
        }
    }
}

#[test]
fn keys_behind_one_that_panics_in_a_transaction_may_use_it_in_their_drop() {
    ends(async || {
        let registry = another(CacheConfig::new("evicting"), MemoryBackend::new()).await;
        let cache: Cache<Evicting, u32> = registry.cache("evicting").unwrap();
        cache.get_with(&Evicting(1), async || 1).await;
        CACHE.with(|used| *used.borrow_mut() = Some(cache.clone()));
        let transaction = Transaction::begin();
        let inside = async {
            let keys: Vec<_> = (PANICS..PANICS + 2).map(Evicting).collect();
            let ended = panicking(Armed::Hash, || cache.evict_many(keys.iter()));
            assert_eq!(ended, Err(()), "the caller is told");
            // Those that were given are dropped when nothing is armed any more.
            drop(keys);
        };
        transaction.scope(inside).await;
        transaction.commit();
        assert_eq!(cache.get(&Evicting(1)), None, "what was evicted in the drop is evicted");
        CACHE.with(|used| *used.borrow_mut() = None);
    });
}

#[tokio::test]
async fn a_key_that_panics_as_it_leaves_is_logged_with_the_name_of_its_cache() {
    let registry = only(CacheConfig::new("picky")).await;
    let picky: Cache<Picky, u32> = registry.cache("picky").expect("configured");
    picky.get_with(&Picky(PANICS), async || PANICS).await;
    ARMED.set(Armed::Hash);
    let logged = texts_logged("panicked in its `Hash`", "cache", || picky.evict_all());
    ARMED.set(Armed::No);
    assert_eq!((picky.len(), logged), (0, vec!["picky".to_owned()]));
}
