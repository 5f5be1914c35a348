//! R1 to R4 of evictions by predicate: what it is asked of, what it overtakes, what others are told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cachesync::{CacheConfig, Transaction};
use cachesync_tests::{gate::Gate, wait::eventually};

use crate::{
    nodes::{DEADLINE, alone, load, only, pair},
    reentry::ends,
};

cachesync::cache! { PREDICATE: "predicate" => (u64, String); }

#[tokio::test]
async fn what_it_chooses_is_gone_here_and_all_is_gone_elsewhere() {
    let (here, there) = pair().await;
    for key in 0..100 {
        load(&here.users, key, "old").await;
        load(&there.users, key, "old").await;
    }
    here.users.evict_if(|key| key % 10 == 0);
    assert_eq!(here.users.len(), 90);
    assert!((0..100).all(|key| here.users.get(&key).is_some() == (key % 10 != 0)));
    assert_eq!(here.users.stats().evicted, 10);
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test]
async fn a_load_of_a_chosen_key_is_overtaken_and_one_of_another_is_kept() {
    let (_registry, users) = alone().await;
    let gate = Gate::new();
    let slow = |key: u64| {
        let (users, gate) = (users.clone(), gate.clone());
        tokio::spawn(async move {
            let loader = async || {
                gate.pass().await;
                "old".to_owned()
            };
            users.get_with(key, loader).await
        })
    };
    let loading = [slow(1), slow(2)];
    gate.reached_by(2).await;
    users.evict_if(|key| *key == 1);
    assert_eq!(load(&users, 1, "new").await, "new", "nobody joins it either");
    gate.let_through(2);
    for loading in loading {
        assert_eq!(loading.await.unwrap(), "old");
    }
    assert_eq!((users.get(&1).as_deref(), users.get(&2).as_deref()), (Some("new"), Some("old")));
}

/// The load began before the eviction, and ends in its midst: its key has been seen, and its entry not.
#[test]
fn a_load_that_stores_while_the_predicate_is_asked_is_evicted() {
    for stored_before in [false, true] {
        ends(move || async move {
            let (_registry, users) = alone().await;
            if stored_before {
                load(&users, 1, "older").await;
            }
            let mut filling = Some((users.reserve(&1), users.reserve(&2)));
            users.evict_if(|key| {
                if let Some((chosen, other)) = filling.take() {
                    assert!(chosen.fill("old".into()) && other.fill("old".into()));
                }
                *key == 1
            });
            assert!(filling.is_none(), "it was asked of keys of which there is no entry");
            assert_eq!((users.get(&1), users.get(&2).as_deref()), (None, Some("old")));
        });
    }
}

#[tokio::test]
async fn reservations_and_puts_that_wait_for_a_commit_are_overtaken_if_their_keys_are_chosen() {
    let (_registry, users) = alone().await;
    let (chosen, other) = (users.reserve(&1), users.reserve(&2));
    let transaction = Transaction::begin();
    transaction.scope(async { [3, 4].map(|key| users.insert(key, "put".into())) }).await;
    users.evict_if(|key| key % 2 == 1);
    assert!(!chosen.fill("old".into()) && other.fill("old".into()));
    transaction.commit();
    assert_eq!((users.get(&3), users.get(&4).as_deref()), (None, Some("put")));
}

#[tokio::test]
async fn it_is_asked_once_of_each_key_whatever_is_under_way_of_it() {
    let (_registry, users) = alone().await;
    for key in 0..10 {
        load(&users, key, "old").await;
    }
    let _loading: Vec<_> = (5..15).flat_map(|key| [users.reserve(&key), users.reserve(&key)]).collect();
    let mut asked = Vec::new();
    users.evict_if(|key| {
        asked.push(*key);
        false
    });
    asked.sort_unstable();
    assert!(asked.iter().copied().eq(0..15), "{asked:?}");
    assert_eq!((users.len(), users.stats().evicted), (10, 0));
}

#[tokio::test]
async fn inside_a_transaction_it_is_all_and_waits_for_the_commit() {
    let (_registry, users) = alone().await;
    for commits in [false, true] {
        load(&users, 1, "old").await;
        load(&users, 2, "old").await;
        let transaction = Transaction::begin();
        let in_it = async {
            users.evict_if(|_| panic!("nothing is chosen yet"));
            assert_eq!((users.get(&1), users.get(&2)), (None, None), "it reads its own writes");
        };
        transaction.scope(in_it).await;
        assert_eq!(users.len(), 2, "not yet");
        if commits {
            transaction.commit();
        } else {
            transaction.rollback();
        }
        assert_eq!(users.len(), if commits { 0 } else { 2 });
    }
}

#[tokio::test]
async fn a_predicate_that_panics_evicts_everything_and_goes_on_panicking() {
    let (here, there) = pair().await;
    for key in 0..10 {
        load(&here.users, key, "old").await;
        load(&there.users, key, "old").await;
    }
    let reservation = here.users.reserve(&11);
    let mut asked = 0;
    let evict = || {
        here.users.evict_if(|_| {
            asked += 1;
            assert!(asked < 5, "not a fifth time");
            false
        });
    };
    catch_unwind(AssertUnwindSafe(evict)).unwrap_err();
    assert!(here.users.is_empty() && !reservation.fill("old".into()), "what is meant cannot be known");
    eventually(DEADLINE, || there.users.is_empty()).await;
    load(&here.users, 1, "new").await;
    assert_eq!(here.users.get(&1).as_deref(), Some("new"), "and all goes on");
}

#[test]
fn a_predicate_may_use_the_cache() {
    ends(|| async {
        let (_registry, users) = alone().await;
        for key in 0..10 {
            load(&users, key, "old").await;
        }
        let _reservation = users.reserve(&10);
        users.evict_if(|key| {
            users.evict(&(key + 100));
            users.evict_if(|other| *other == 3);
            users.insert(20, "put".into());
            users.get(key).is_some() && users.reserve(key).fill("again".into()) && *key < 5
        });
        assert_eq!(users.len(), 6);
        assert!((5..10).all(|key| users.get(&key).as_deref() == Some("again")));
    });
}

#[tokio::test]
async fn a_typed_cache_evicts_by_predicate_and_tells_others_where_there_is_none() {
    let hub = cachesync::memory::MemoryBackend::new();
    let here = crate::nodes::another(PREDICATE.config(), hub.clone()).await;
    let without = crate::nodes::another(CacheConfig::new("another"), hub).await;
    let fill = || async {
        here.scope(async {
            PREDICATE.get_with(1, async || "one".into()).await;
            PREDICATE.get_with(2, async || "two".into()).await;
        })
        .await;
    };
    let get = |key: u64| PREDICATE.of(&here).unwrap().get(&key);
    fill().await;
    here.scope(async { PREDICATE.evict_if(|key| *key == 1) }).await;
    assert_eq!((get(1), get(2).as_deref()), (None, Some("two")));
    fill().await;
    without.scope(async { PREDICATE.evict_if(|_| panic!("there is nothing here to ask of")) }).await;
    eventually(DEADLINE, || get(1).is_none() && get(2).is_none()).await;
}

/// As the storm of `stale_fill`: after an eviction only the new value may be found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_storm_of_loads_and_puts_no_read_after_an_eviction_by_predicate_finds_an_older_value() {
    let registry = only(CacheConfig::new("versions").capacity(6)).await;
    let cache = registry.cache::<u64, u64>("versions").unwrap();
    let truth: Arc<[AtomicU64]> = (0..8).map(|_| AtomicU64::new(0)).collect();
    let reader = |seed: u64| {
        let (cache, truth) = (cache.clone(), truth.clone());
        tokio::spawn(async move {
            for step in 0..10_000u64 {
                let key = (step * 7 + seed) % 8;
                let row = &truth[usize::try_from(key).unwrap()];
                let loader = async || {
                    let value = row.load(Ordering::SeqCst);
                    if step % 3 == 0 {
                        tokio::task::yield_now().await;
                    }
                    value
                };
                if step % 5 == 0 {
                    let reservation = cache.reserve(&key);
                    reservation.fill(loader().await);
                } else {
                    cache.get_with(key, loader).await;
                }
            }
        })
    };
    let readers = [reader(1), reader(2), reader(5)];
    let writer = tokio::spawn(async move {
        for step in 0..10_000u64 {
            let chosen = |key: &u64| key % 4 == step % 4;
            let rows = || (0..8u64).filter(chosen).map(|key| (key, &truth[usize::try_from(key).unwrap()]));
            rows().for_each(|(_, row)| _ = row.fetch_add(1, Ordering::SeqCst));
            cache.evict_if(chosen);
            // Only this task writes, so whatever is found now was loaded after the eviction.
            for (key, row) in rows() {
                if let Some(found) = cache.get(&key) {
                    assert_eq!(found, row.load(Ordering::SeqCst), "of key {key} at step {step}");
                }
            }
            tokio::task::yield_now().await;
        }
    });
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
}
