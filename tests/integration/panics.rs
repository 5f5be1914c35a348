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

use crate::nodes::{DEADLINE, node, only, users_frame};

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
async fn a_value_that_panics_in_its_drop_does_not_stop_the_evictions_of_a_commit() {
    let hub = MemoryBackend::new();
    let ((here, _), (there, _)) = (start(&hub).await, start(&hub).await);
    let users: Cache<u64, Bomb> = here.cache("users").unwrap();
    let theirs: Cache<u64, Bomb> = there.cache("users").unwrap();
    for key in 0..20 {
        users.get_with(key, async || Bomb::new(key == 7)).await;
        theirs.get_with(key, async || Bomb::new(key == 9)).await;
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
        operation: Operation::Keys(vec![EncodedKey(deep.into_boxed_slice())]),
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
