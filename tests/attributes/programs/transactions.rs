//! Transactions that go through a service.

use std::{collections::HashMap, sync::Mutex};

use cachesync::{Registry, Transaction, cache_config, cache_evict, cache_put, cacheable};
use cachesync_tests::wait::{DEADLINE, eventually};

use super::nodes;
use crate::{Calls, registry};

// A struct that carries its transaction.
struct Unit {
    transaction: Transaction,
    caches: Registry,
}
#[cache_config(cache = "program-unit", registry = self.caches, transaction = self.transaction)]
impl Unit {
    #[cacheable(key = id)]
    async fn find(&self, calls: &Calls, id: u64) -> u32 {
        let _ = id;
        calls.count().await
    }
    #[cache_put(key = id, requires_transaction)]
    async fn save(&self, id: u64, value: u32) -> u32 {
        let _ = id;
        value
    }
    #[cache_evict(key = id, requires_transaction)]
    async fn touch(&mut self, id: u64) {
        let _ = id;
    }
    #[cache_evict(all)]
    async fn finish(self) -> Transaction {
        self.transaction
    }
}
#[tokio::test]
async fn a_struct_can_carry_its_transaction() {
    let caches = registry(&["program-unit"]).await;
    let cache = caches.cache::<u64, u32>("program-unit").unwrap();
    let calls = Calls::default();
    let mut unit = Unit { transaction: Transaction::begin(), caches: caches.clone() };
    assert_eq!(unit.find(&calls, 1).await, 1);
    assert_eq!(cache.get(&1), None, "a load of a transaction is not kept");
    unit.save(7, 70).await;
    cache.insert(1, 100);
    unit.touch(1).await;
    assert_eq!(cache.get(&1), Some(100));
    assert_eq!(unit.find(&calls, 1).await, 2);
    unit.transaction.commit();
    assert_eq!((cache.get(&7), cache.get(&1)), (Some(70), None));
    cache.insert(1, 100);
    let unit = Unit { transaction: Transaction::begin(), caches };
    let transaction = unit.finish().await;
    assert_eq!(cache.get(&1), Some(100));
    transaction.commit();
    assert_eq!(cache.get(&1), None);
}

// Puts and tags in transactions within a transaction, on two nodes.
#[cache_put(cache = "program-nested", key = id, tags = [tag])]
async fn put_tagged(id: u64, tag: &str) -> String {
    format!("{id} {tag}")
}
#[cache_evict(cache = "program-nested", tag = tag)]
async fn evict_tagged(tag: &str) {}
#[tokio::test]
async fn puts_and_tags_of_inner_transactions_wait_for_the_outer_one() {
    let [one, two] = nodes(&["program-nested"]).await;
    let cache = one.cache::<u64, String>("program-nested").unwrap();
    let far = two.cache::<u64, String>("program-nested").unwrap();
    one.scope(put_tagged(1, "a")).await;
    two.scope(async {
        assert!(far.reserve(&9).fill("far".into()));
        assert!(far.reserve(&2).fill("far".into()));
    })
    .await;
    let outer = Transaction::begin();
    one.scope(outer.scope(async {
        put_tagged(2, "b").await;
        let inner = Transaction::begin();
        inner
            .scope(async {
                put_tagged(3, "c").await;
                evict_tagged("a").await;
            })
            .await;
        inner.rollback();
        let inner = Transaction::begin();
        inner.scope(put_tagged(4, "d")).await;
        inner.commit();
        let inner = Transaction::begin();
        inner.scope(evict_tagged("b")).await;
        inner.commit();
    }))
    .await;
    assert_eq!((cache.get(&2), cache.get(&4)), (None, None));
    outer.commit();
    assert_eq!(cache.get(&1).as_deref(), Some("1 a"));
    assert_eq!(cache.get(&2), None, "put and then evicted by its tag");
    assert_eq!(cache.get(&3), None);
    assert_eq!(cache.get(&4).as_deref(), Some("4 d"));
    eventually(DEADLINE, || far.get(&2).is_none()).await;
    assert_eq!(far.get(&9).as_deref(), Some("far"));
}

// Puts of absences, savepoints, and a second registry in one transaction.
#[cacheable(cache = "program-tx", key = id, tags = ["all"])]
async fn tx_read(rows: &Mutex<HashMap<u64, u64>>, id: u64) -> Option<u64> {
    tokio::task::yield_now().await;
    rows.lock().unwrap().get(&id).copied()
}
#[cache_put(cache = "program-tx", key = id, tags = ["all"], cache_none)]
async fn tx_write(rows: &Mutex<HashMap<u64, u64>>, id: u64, to: Option<u64>) -> Option<u64> {
    let mut rows = rows.lock().unwrap();
    match to {
        Some(to) => {
            rows.insert(id, to);
        }
        None => {
            rows.remove(&id);
        }
    }
    to
}
#[cache_evict(cache = "program-tx", tag = "all", transaction = transaction)]
fn tx_clear(transaction: &Transaction) {}
#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_no_others_do() {
    let [one, two] = nodes(&["program-tx"]).await;
    let rows = Mutex::default();
    let cache = one.cache::<u64, u64>("program-tx").unwrap();
    one.scope(async {
        tx_write(&rows, 1, Some(10)).await;
        assert_eq!(tx_read(&rows, 1).await, Some(10));
        let outer = Transaction::begin();
        outer
            .scope(async {
                tx_write(&rows, 1, Some(11)).await;
                assert_eq!(tx_read(&rows, 1).await, Some(11), "its own write");
                assert_eq!(cache.get(&1), None, "by hand too");
                let inner = Transaction::begin();
                inner
                    .scope(async {
                        tx_write(&rows, 2, Some(20)).await;
                        two.scope(async {
                            assert_eq!(tx_read(&rows, 2).await, Some(20));
                            tx_write(&rows, 3, Some(30)).await;
                        })
                        .await;
                    })
                    .await;
                inner.rollback();
                tx_write(&rows, 1, None).await;
            })
            .await;
        assert_eq!(cache.get(&1), Some(10), "outside of it, the old one");
        let far = two.cache::<u64, u64>("program-tx").unwrap();
        outer.commit();
        assert_eq!(cache.get(&1), None);
        assert_eq!((cache.get(&2), far.get(&3)), (None, None));
        rows.lock().unwrap().insert(1, 12);
        assert_eq!(tx_read(&rows, 1).await, None, "the absence was put");
        let transaction = Transaction::begin();
        tx_clear(&transaction);
        assert_eq!(tx_read(&rows, 1).await, None);
        transaction.commit();
        assert_eq!(tx_read(&rows, 1).await, Some(12), "the absence had the tag too");
    })
    .await;
}
