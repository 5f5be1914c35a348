//! Code of the user's that panics takes nothing along but itself: not the other evictions, not the engine, not those who
//! wait.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use cachesync::{Cache, CacheConfig, Coherence, Registry, Transaction, memory::MemoryBackend};
use cachesync_core::{
    backend::Format,
    codec,
    frame::{EncodedKey, Frame, Operation},
    shape::KeyShape,
};
use cachesync_tests::{
    faulty::FaultyBackend,
    wait::{eventually, within},
};
use serde::{Deserialize, Serialize};

use crate::{
    nodes::{DEADLINE, load, node, only, users_frame},
    reentry::ends,
};

async fn start(hub: &MemoryBackend) -> (Registry, FaultyBackend) {
    let backend = FaultyBackend::new(hub);
    (node().backend(backend.clone()).start().await.unwrap(), backend)
}

#[derive(Clone)]
struct Bomb {
    _fuse: Arc<Fuse>,
}

struct Fuse(bool);

impl Drop for Fuse {
    fn drop(&mut self) {
        assert!(!self.0, "on purpose");
    }
}

impl Bomb {
    fn new(armed: bool) -> Self {
        Self { _fuse: Arc::new(Fuse(armed)) }
    }
}

#[tokio::test]
async fn values_that_panic_in_their_drop_do_not_stop_the_evictions_of_a_commit() {
    let hub = MemoryBackend::new();
    let ((here, _), (there, _)) = (start(&hub).await, start(&hub).await);
    let users: Cache<u64, Bomb> = here.cache("users").unwrap();
    let theirs: Cache<u64, Bomb> = there.cache("users").unwrap();
    for key in 0..20 {
        users.get_with(key, async || Bomb::new(key % 7 == 0)).await;
        theirs.get_with(key, async || Bomb::new(key % 9 == 0)).await;
    }
    let transaction = Transaction::begin();
    transaction.scope(async { users.evict_many(0..20u64) }).await;
    within(DEADLINE, transaction.commit().confirmed()).await.unwrap();
    assert!(users.is_empty());
    eventually(DEADLINE, || theirs.is_empty()).await;
    assert!(matches!(there.status().coherence, Coherence::Coherent { .. }));
}

/// A key that accepts only small numbers, by panicking over others.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u8")]
struct Small(u8);

impl From<u8> for Small {
    fn from(number: u8) -> Self {
        assert!((1..10).contains(&number), "on purpose");
        Self(number)
    }
}

#[tokio::test]
async fn a_key_that_panics_over_what_comes_from_outside_does_not_end_the_engine() {
    let hub = MemoryBackend::new();
    let (registry, backend) = start(&hub).await;
    let users: Cache<Small, u8> = registry.cache("users").unwrap();
    users.insert(Small(1), 1);
    backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "keys": [77]}"#);
    eventually(DEADLINE, || registry.stats().bad_messages == 1).await;
    assert!(users.is_empty(), "what it may have concerned is cleared");
    users.insert(Small(1), 1);
    backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "keys": [1]}"#);
    eventually(DEADLINE, || users.is_empty()).await;
    assert_eq!(registry.stats().sessions, 1);
}

#[tokio::test]
async fn a_key_that_panics_on_its_way_out_does_not_stop_the_evictions_of_a_commit() {
    let hub = MemoryBackend::new();
    let ((here, _), (there, _)) = (start(&hub).await, start(&hub).await);
    let users: Cache<Small, u8> = here.cache("users").unwrap();
    let theirs: Cache<Small, u8> = there.cache("users").unwrap();
    // Made without `From`, so the type's first key is sound and the second is not.
    for key in [Small(1), Small(77), Small(2)] {
        users.get_with(&key, async || 1).await;
        theirs.get_with(&key, async || 1).await;
    }
    let outer = Transaction::begin();
    let inner = outer.scope(async { Transaction::begin() }).await;
    inner.scope(async { users.evict_many([&Small(77), &Small(2)]) }).await;
    let committed = inner.commit();
    outer.commit();
    within(DEADLINE, committed.confirmed()).await.unwrap();
    assert_eq!((users.get(&Small(77)), users.get(&Small(2))), (None, None));
    eventually(DEADLINE, || theirs.is_empty()).await;
}

#[tokio::test]
async fn the_eviction_of_a_key_that_panics_on_its_way_out_takes_all() {
    let hub = MemoryBackend::new();
    let ((here, _), (there, _)) = (start(&hub).await, start(&hub).await);
    let users: Cache<Small, u8> = here.cache("users").unwrap();
    let theirs: Cache<Small, u8> = there.cache("users").unwrap();
    for key in [Small(1), Small(77)] {
        users.get_with(&key, async || 1).await;
        theirs.get_with(&key, async || 1).await;
    }
    users.evict(&Small(77));
    assert_eq!(users.get(&Small(77)), None);
    eventually(DEADLINE, || theirs.is_empty()).await;
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct List(Option<Box<List>>);

#[tokio::test]
async fn a_key_type_that_nests_without_bound_is_refused_as_a_frame_could_exhaust_the_stack() {
    let (registry, backend) = start(&MemoryBackend::new()).await;
    let users: Cache<List, u8> = registry.cache("users").unwrap();
    users.insert(List(None), 1);
    assert!(users.is_empty());
    assert!(registry.status().problems[0].contains("does not survive serde"), "{:?}", registry.status().problems);
    let mut deep = vec![1u8; codec::MAX_KEY_BYTES - 1];
    deep.push(0);
    let frame = Frame {
        shape: KeyShape::of::<List>(),
        operation: Operation::Keys(vec![EncodedKey::from(deep)]),
        ..users_frame()
    };
    backend.inject(Format::Frame, Some("users"), codec::encode(&frame));
    eventually(DEADLINE, || users.stats().evicted_by_others == 1).await;
}

/// Panics when it is cloned for the second time: once for the cache, and then for those who wait.
struct Shy(Arc<AtomicUsize>);

impl Clone for Shy {
    fn clone(&self) -> Self {
        assert_ne!(self.0.fetch_add(1, SeqCst), 1, "on purpose");
        Self(self.0.clone())
    }
}

#[tokio::test]
async fn a_value_that_panics_while_it_is_cloned_for_others_wakes_them() {
    let config = CacheConfig::new("users").load_wait(DEADLINE * 2);
    let registry = only(config).await;
    let users: Cache<u64, Shy> = registry.cache("users").unwrap();
    let leading = users.clone();
    let leader = tokio::spawn(async move {
        let loader = async || {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Shy(Arc::default())
        };
        leading.get_with(1, loader).await;
    });
    tokio::task::yield_now().await;
    within(DEADLINE, users.get_with(1, async || Shy(Arc::default()))).await;
    assert!(leader.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn staged_values_that_panic_in_their_drop_cost_no_eviction_of_an_unknown_outcome() {
    let (registry, users) = crate::nodes::alone().await;
    let bombs: Cache<u64, Bomb> = only(CacheConfig::new("bombs")).await.cache("bombs").unwrap();
    load(&users, 1, "old").await;
    bombs.get_with(1, async || Bomb::new(false)).await;
    let transaction = Transaction::begin();
    let inside = async {
        users.evict(&1);
        bombs.insert(1, Bomb::new(true));
        bombs.insert(2, Bomb::new(true));
    };
    transaction.scope(inside).await;
    let failed = transaction.commit_with(async { Err::<(), _>("who knows") });
    let ended = tokio::spawn(async { failed.await.map(drop) }).await;
    assert_eq!(ended.expect("it does not panic"), Err("who knows"));
    assert_eq!((users.get(&1), bombs.get(&1).is_some()), (None, false));
    drop(registry);
}

#[tokio::test]
async fn staged_values_that_panic_in_their_drop_do_not_stop_a_rollback_or_the_end_of_an_inner_transaction() {
    let bombs: Cache<u64, Bomb> = only(CacheConfig::new("bombs")).await.cache("bombs").unwrap();
    let outer = Transaction::begin();
    let inside = async {
        bombs.insert(1, Bomb::new(true));
        let inner = Transaction::begin();
        inner.scope(async { bombs.evict(&1) }).await;
        let committed = inner.commit();
        bombs.insert(2, Bomb::new(true));
        bombs.evict(&2);
        bombs.insert(3, Bomb::new(true));
        committed
    };
    let committed = outer.scope(inside).await;
    outer.rollback();
    assert!(within(DEADLINE, committed.confirmed()).await.is_err(), "rolled back");
}

/// A key that panics when it is compared, once its cache is armed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Touchy(u8);

static TOUCHY: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(!TOUCHY.load(SeqCst), "on purpose");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl std::hash::Hash for Touchy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[tokio::test]
async fn keys_that_panic_when_an_inner_transaction_hands_them_over_become_all() {
    let registry = only(CacheConfig::new("touchy")).await;
    let touchy: Cache<Touchy, u8> = registry.cache("touchy").unwrap();
    for key in 1..5 {
        touchy.get_with(&Touchy(key), async || key).await;
    }
    let outer = Transaction::begin();
    let inner = outer
        .scope(async {
            touchy.evict(&Touchy(1));
            Transaction::begin()
        })
        .await;
    inner.scope(async { touchy.evict_many([&Touchy(2), &Touchy(1), &Touchy(3)]) }).await;
    TOUCHY.store(true, SeqCst);
    let committed = inner.commit();
    TOUCHY.store(false, SeqCst);
    outer.commit();
    within(DEADLINE, committed.confirmed()).await.unwrap();
    assert!(touchy.is_empty());
}

/// A key that panics when it is hashed, once its cache is armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unhashable(u8);

static UNHASHABLE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl std::hash::Hash for Unhashable {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        assert!(!UNHASHABLE.load(SeqCst), "on purpose");
        self.0.hash(state);
    }
}

#[test]
fn a_load_that_panics_while_it_is_kept_does_not_leave_its_end_to_the_next_one() {
    // Who waits for a load that has ended before it began asks again without a pause.
    ends(async || {
        let users: Cache<Unhashable, u8> = only(CacheConfig::new("users")).await.cache("users").unwrap();
        let panics = users.clone();
        let arming = async || {
            UNHASHABLE.store(true, SeqCst);
            1
        };
        let task = tokio::spawn(async move { panics.get_with(&Unhashable(1), arming).await });
        let ended = task.await;
        UNHASHABLE.store(false, SeqCst);
        assert!(ended.unwrap_err().is_panic());
        let second = async || {
            tokio::task::yield_now().await;
            2
        };
        let answers = tokio::join!(users.get_with(&Unhashable(1), second), users.get_with(&Unhashable(1), async || 3));
        assert_eq!((answers, users.stats().shared), ((2, 2), 1));
    });
}
