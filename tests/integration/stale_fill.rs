//! R1: a value whose load, put or reservation began before an eviction of its key is never left in the cache.

use std::{
    cell::RefCell,
    hash::{Hash, Hasher},
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use cachesync::{Cache, CacheConfig, Registry, Transaction, memory::MemoryBackend};
use cachesync_tests::{gate::Gate, wait::eventually};
use serde::{Deserialize, Serialize, Serializer};
use tokio::task::JoinHandle;

use crate::nodes::{DEADLINE, Node, alone, another, load, only, pair};

/// Begins a load of key 1 that stops at the gate and then answers `old`.
async fn slow_load(users: &Cache<u64, String>, gate: &Gate) -> JoinHandle<String> {
    let (users, at) = (users.clone(), gate.clone());
    let task = tokio::spawn(async move {
        let loader = async || {
            at.pass().await;
            "old".to_owned()
        };
        users.get_with(1, loader).await
    });
    gate.reached_by(1).await;
    task
}

async fn overtaken_by(evict: impl AsyncFnOnce(&Node, &Node)) {
    let (here, there) = pair().await;
    let gate = Gate::new();
    let loading = slow_load(&here.users, &gate).await;

    evict(&here, &there).await;
    gate.let_through(1);

    assert_eq!(loading.await.unwrap(), "old", "the caller began before the eviction, and may see the old value");
    assert_eq!(here.users.get(&1), None, "but nobody after it");
    assert_eq!(load(&here.users, 1, "new").await, "new");
    assert_eq!(here.users.get(&1).as_deref(), Some("new"), "and a load that began after it is kept");
}

#[tokio::test]
async fn a_load_overtaken_by_a_local_eviction_is_not_kept() {
    overtaken_by(async |here, _| here.users.evict(&1)).await;
}

/// So many that they are evicted in several portions, of which the key is in the last.
fn many() -> impl Iterator<Item = u64> {
    (0..2_500).rev()
}

#[tokio::test]
async fn a_load_overtaken_by_a_local_eviction_of_many_is_not_kept() {
    overtaken_by(async |here, _| here.users.evict_many(many())).await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_remote_eviction_of_many_is_not_kept() {
    overtaken_by(async |here, there| {
        there.users.evict_many(many());
        eventually(DEADLINE, || here.users.stats().evicted_by_others == 2_500).await;
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_local_eviction_of_all_is_not_kept() {
    overtaken_by(async |here, _| here.users.evict_all()).await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_remote_eviction_is_not_kept() {
    overtaken_by(async |here, there| {
        there.users.evict(&1);
        eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_remote_eviction_of_all_is_not_kept() {
    overtaken_by(async |here, there| {
        there.users.evict_all();
        eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_remote_put_is_not_kept() {
    overtaken_by(async |here, there| {
        there.users.insert(1, "new".into());
        eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_the_clear_after_a_lost_session_is_not_kept() {
    overtaken_by(async |here, _| {
        here.backend.cut();
        eventually(DEADLINE, || here.registry.stats().sessions == 2).await;
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_commit_is_not_kept() {
    overtaken_by(async |here, _| {
        let transaction = Transaction::begin();
        transaction.scope(async { here.users.evict(&1) }).await;
        transaction.commit();
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_local_put_does_not_replace_the_newer_value() {
    let (_registry, users) = alone().await;
    let gate = Gate::new();
    let loading = slow_load(&users, &gate).await;
    users.insert(1, "new".into());
    gate.let_through(1);
    assert_eq!(loading.await.unwrap(), "old");
    assert_eq!(users.get(&1).as_deref(), Some("new"));
}

#[tokio::test]
async fn a_caller_who_comes_after_the_eviction_does_not_join_the_load_that_it_overtook() {
    let (_registry, users) = alone().await;
    let gate = Gate::new();
    let old = slow_load(&users, &gate).await;
    users.evict(&1);
    assert_eq!(load(&users, 1, "new").await, "new");
    gate.let_through(1);
    old.await.unwrap();
    assert_eq!(users.get(&1).as_deref(), Some("new"), "nor does that load take away the newer value");
}

#[tokio::test]
async fn an_eviction_of_another_key_overtakes_nothing() {
    let (_registry, users) = alone().await;
    let gate = Gate::new();
    let loading = slow_load(&users, &gate).await;
    (2..1_000).for_each(|other| users.evict(&other));
    gate.let_through(1);
    loading.await.unwrap();
    assert_eq!(users.get(&1).as_deref(), Some("old"));
}

#[tokio::test]
async fn a_reservation_is_filled_unless_the_key_was_evicted_since() {
    let (here, there) = pair().await;
    let kept = here.users.reserve(&1);
    assert!(kept.fill("Ada".into()));
    assert_eq!(here.users.get(&1).as_deref(), Some("Ada"));

    let local = here.users.reserve(&1);
    here.users.evict(&1);
    assert!(!local.fill("old".into()));

    let remote = here.users.reserve(&1);
    there.users.evict(&1);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    assert!(!remote.fill("old".into()));

    let put = here.users.reserve(&1);
    here.users.insert(1, "new".into());
    assert!(!put.fill("old".into()));
    assert_eq!(here.users.get(&1).as_deref(), Some("new"));
}

#[tokio::test]
async fn an_eviction_overtakes_every_load_of_its_key() {
    let (_registry, users) = alone().await;
    for put in [false, true] {
        let gate = Gate::new();
        let loading = slow_load(&users, &gate).await;
        let reservations = [users.reserve(&1), users.reserve(&1), users.reserve(&1)];
        if put {
            users.insert(1, "new".into());
        } else {
            users.evict(&1);
        }
        assert_eq!(reservations.map(|reservation| reservation.fill("old".into())), [false; 3], "put: {put}");
        gate.let_through(1);
        loading.await.unwrap();
        assert_eq!(users.get(&1).as_deref(), put.then_some("new"));
        users.evict(&1);
    }
}

#[tokio::test]
async fn a_reservation_dropped_unfilled_leaves_nothing_behind() {
    let (_registry, users) = alone().await;
    drop(users.reserve(&1));
    assert!(users.is_empty());
    assert_eq!(load(&users, 1, "Ada").await, "Ada");
    assert_eq!(users.get(&1).as_deref(), Some("Ada"));
}

#[tokio::test]
async fn a_put_in_a_transaction_that_is_overtaken_before_the_commit_leaves_the_key_absent() {
    type Overtake = fn(&Cache<u64, String>);

    let (_registry, users) = alone().await;
    let by_eviction: Overtake = |users| users.evict(&1);
    let by_put: Overtake = |users| users.insert(1, "other".into());
    for overtake in [by_eviction, by_put] {
        let transaction = Transaction::begin();
        transaction.scope(async { users.insert(1, "mine".into()) }).await;
        overtake(&users);
        transaction.commit();
        assert_eq!(users.get(&1), None, "which of the two is newer is not known");
    }
}

#[tokio::test]
async fn two_puts_of_one_key_in_overlapping_transactions_leave_it_absent() {
    let (_registry, users) = alone().await;
    let (one, other) = (Transaction::begin(), Transaction::begin());
    one.scope(async { users.insert(1, "one".into()) }).await;
    other.scope(async { users.insert(1, "other".into()) }).await;
    one.commit();
    other.commit();
    assert_eq!(users.get(&1), None);
}

thread_local! {
    /// What the next hash of a [`Stopping`] key on this thread does first.
    static BEFORE_HASH: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    /// What the next serialization of one on this thread does first.
    static BEFORE_SERIALIZE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A key that can stop a put before its announcement, which serializes it, and before its store, which hashes it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Stopping(u64);

impl Serialize for Stopping {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(stop) = BEFORE_SERIALIZE.take() {
            stop();
        }
        serializer.serialize_newtype_struct("Stopping", &self.0)
    }
}

impl Hash for Stopping {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(stop) = BEFORE_HASH.take() {
            stop();
        }
        self.0.hash(state);
    }
}

/// Both announce their put, and each hears the other's announcement, before either stores its value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_put_one_key_at_the_same_time_do_not_both_keep_their_value() {
    let hub = MemoryBackend::new();
    let (here, there) = (
        another(CacheConfig::new("numbers"), hub.clone()).await,
        another(CacheConfig::new("numbers"), hub.clone()).await,
    );
    let both_began = Arc::new(Barrier::new(2));
    let put = |registry: &Registry, value: u8| {
        let numbers = registry.cache::<Stopping, u8>("numbers").unwrap();
        // So that the check of the first key is done.
        numbers.evict(&Stopping(9));
        let (heard, both_began) = (numbers.clone(), both_began.clone());
        let hear_the_other = move || {
            let start = Instant::now();
            while heard.stats().evicted_by_others < 2 {
                assert!(start.elapsed() < DEADLINE, "the other node's announcement did not come");
                std::thread::yield_now();
            }
        };
        let begin_together = move || {
            both_began.wait();
            BEFORE_HASH.set(Some(Box::new(hear_the_other)));
        };
        std::thread::spawn(move || {
            BEFORE_SERIALIZE.set(Some(Box::new(begin_together)));
            numbers.insert(Stopping(1), value);
            numbers
        })
    };
    let (one, other) = (put(&here, 1), put(&there, 2));
    let (one, other) = (one.join().unwrap(), other.join().unwrap());
    assert_eq!((one.get(&Stopping(1)), other.get(&Stopping(1))), (None, None), "which is newer is not known");
}

/// The steps of the tests above, many times, on two threads at once: an eviction is called after the value has
/// changed, so after it only the new value may be found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_storm_of_loads_no_read_after_an_eviction_finds_an_older_value() {
    let registry = only(CacheConfig::new("versions").capacity(4)).await;
    let cache = registry.cache::<u64, u64>("versions").unwrap();
    let truth: Arc<[AtomicU64]> = (0..8).map(|_| AtomicU64::new(0)).collect();

    let reader = |seed: u64| {
        let (cache, truth) = (cache.clone(), truth.clone());
        tokio::spawn(async move {
            for step in 0..20_000u64 {
                let key = (step * 7 + seed) % 8;
                let row = &truth[usize::try_from(key).unwrap()];
                let loader = async || {
                    let value = row.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    value
                };
                cache.get_with(key, loader).await;
            }
        })
    };
    let readers = [reader(1), reader(2), reader(5)];
    let writer = tokio::spawn(async move {
        for step in 0..20_000u64 {
            let key = step % 8;
            let row = &truth[usize::try_from(key).unwrap()];
            let version = row.fetch_add(1, Ordering::SeqCst) + 1;
            if step % 50 == 0 {
                cache.evict_all();
            } else {
                cache.evict(&key);
            }
            // Only this task writes, so whatever is found now was loaded after the eviction.
            if let Some(found) = cache.get(&key) {
                assert_eq!(found, version, "of key {key} at step {step}");
            }
            tokio::task::yield_now().await;
        }
    });
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
}
