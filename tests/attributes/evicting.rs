//! What a `#[cache_evict]` function evicts, and when.

use std::{future::Future, pin::pin, sync::Arc, task::Poll};

use cachesync::{Cache, Registry, Transaction, cache_evict, cacheable};

use crate::{Calls, registry};

/// A registry whose cache `name` holds the keys 1 to 3.
async fn filled(name: &str) -> (Registry, Cache<u64, u64>) {
    let registry = registry(&[name]).await;
    let cache = registry.cache(name).expect("keys and values are numbers");
    for key in 1..=3 {
        cache.insert(key, key);
    }
    (registry, cache)
}

fn keys(cache: &Cache<u64, u64>) -> Vec<u64> {
    (1..=3).filter(|key| cache.get(key).is_some()).collect()
}

#[cache_evict(cache = "evict-after")]
async fn after(id: u64) -> Result<u64, String> {
    tokio::task::yield_now().await;
    if id == 1 { Err("refused".into()) } else { Ok(id) }
}

#[cache_evict(cache = "evict-after", always)]
async fn always(id: u64) -> Result<u64, String> {
    Err(format!("after {id} was written"))
}

#[cache_evict(cache = "evict-after", cache_value)]
async fn whole(id: u64) -> Result<u64, String> {
    Err(format!("which is as good, for {id}"))
}

#[tokio::test]
async fn an_eviction_follows_an_ok_and_no_error_unless_always() {
    let (registry, cache) = filled("evict-after").await;
    assert!(registry.scope(after(1)).await.is_err());
    assert_eq!(keys(&cache), [1, 2, 3]);
    registry.scope(after(2)).await.expect("Ok");
    assert_eq!(keys(&cache), [1, 3]);
    assert!(registry.scope(always(1)).await.is_err());
    assert_eq!(keys(&cache), [3]);
    assert!(registry.scope(whole(3)).await.is_err());
    assert_eq!(keys(&cache), [0u64; 0]);
}

#[cache_evict(cache = "evict-none")]
async fn none(id: u64) -> Option<u64> {
    (id > 3).then_some(id)
}

#[tokio::test]
async fn a_none_is_a_success() {
    let (registry, cache) = filled("evict-none").await;
    assert_eq!(registry.scope(none(1)).await, None);
    assert_eq!(keys(&cache), [2, 3]);
}

#[cache_evict(cache = "evict-before", key = id, before)]
async fn before(cache: &Cache<u64, u64>, id: u64) -> Result<u64, String> {
    assert_eq!(cache.get(&id), None);
    tokio::task::yield_now().await;
    Err("no matter".into())
}

#[tokio::test]
async fn before_evicts_before_the_body() {
    let (registry, cache) = filled("evict-before").await;
    assert!(registry.scope(before(&cache, 2)).await.is_err());
    assert_eq!(keys(&cache), [1, 3]);
}

#[cache_evict(cache = "evict-all", all)]
async fn all(fail: bool) -> Result<(), String> {
    if fail { Err("refused".into()) } else { Ok(()) }
}

#[tokio::test]
async fn all_evicts_every_key() {
    let (registry, cache) = filled("evict-all").await;
    registry.scope(all(true)).await.unwrap_err();
    assert_eq!(keys(&cache), [1, 2, 3]);
    registry.scope(all(false)).await.expect("Ok");
    assert_eq!(keys(&cache), [0u64; 0]);
}

struct Row {
    id: u64,
    name: String,
}

/// The body moves its parameter.
#[cache_evict(cache = "evict-result", key = result.id)]
async fn create(row: Row) -> Result<Row, String> {
    tokio::task::yield_now().await;
    if row.id == 3 { Err(row.name) } else { Ok(row) }
}

#[cache_evict(cache = "evict-result", key = result.id, always)]
async fn create_always(row: Row) -> Result<Row, String> {
    create(row).await
}

#[tokio::test]
async fn a_key_of_the_result_is_evicted_alone() {
    let (registry, cache) = filled("evict-result").await;
    let row = |id| Row { id, name: format!("row {id}") };
    registry.scope(create(row(2))).await.map_err(|_| "refused").expect("Ok");
    assert_eq!(keys(&cache), [1, 3]);
    let refused = registry.scope(create(row(3))).await;
    assert_eq!(refused.err().as_deref(), Some("row 3"));
    assert_eq!(keys(&cache), [1, 3], "nothing was written");
    assert!(registry.scope(create_always(row(3))).await.is_err());
    assert_eq!(keys(&cache), [0u64; 0], "which key it was is not known");
}

/// The key needs what the body does not move, beside the result; `payload` it does move.
#[cache_evict(cache = "evict-params", key = (tenant.as_str(), *result))]
async fn with_parameters(tenant: String, mut payload: Vec<u64>) -> Result<u64, String> {
    payload.push(tenant.len() as u64);
    tokio::task::yield_now().await;
    let payload = payload;
    payload.into_iter().max().ok_or_else(String::new)
}

#[tokio::test]
async fn a_key_of_the_result_can_use_parameters_too() {
    let registry = registry(&["evict-params"]).await;
    let cache = registry.cache::<(String, u64), u64>("evict-params").expect("its types");
    for tenant in ["a", "b"] {
        cache.insert((tenant.into(), 7), 1);
    }
    assert_eq!(registry.scope(with_parameters("a".into(), vec![7, 3])).await, Ok(7));
    assert_eq!(cache.get(("a", 7)), None);
    assert_eq!(cache.get(("b", 7)), Some(1));
}

#[cache_evict(cache = "evict-stack-by-result", key = *result)]
#[cache_evict(cache = "evict-stack-always", key = id, always)]
#[cache_evict(cache = "evict-stack-both", key = (&name, *result))]
#[cache_evict(cache = "evict-stack-all", all, before)]
async fn stacked(id: u64, name: String) -> Result<u64, String> {
    tokio::task::yield_now().await;
    if name == "fail" { Err("refused".into()) } else { Ok(id + 1) }
}

#[tokio::test]
async fn stacked_evictions_are_each_by_its_own_rule() {
    let names = ["evict-stack-by-result", "evict-stack-always", "evict-stack-both", "evict-stack-all"];
    for (name, left) in [("fail", [3, 2, 1, 0]), ("good", [2, 2, 0, 0])] {
        let registry = registry(&names).await;
        let numbers = [0, 1, 3].map(|index| registry.cache::<u64, u64>(names[index]).expect("numbers"));
        let both = registry.cache::<(String, u64), u64>(names[2]).expect("its types");
        for cache in &numbers {
            (1..=3).for_each(|key| cache.insert(key, key));
        }
        both.insert((name.to_owned(), 2), 1);
        _ = registry.scope(stacked(1, name.to_owned())).await;
        let held = [&numbers[0], &numbers[1]].map(|cache| keys(cache).len());
        assert_eq!([held[0], held[1], both.len(), keys(&numbers[2]).len()], left, "{name}");
    }
}

#[cache_evict(cache = "evict-and-load", key = 1u64)]
#[cacheable(cache = "evict-and-load-value", skip(calls))]
async fn load_and_evict(calls: &Calls, id: u64) -> Option<u64> {
    calls.count().await;
    Some(id)
}

#[cacheable(cache = "load-and-evict-value", skip(calls))]
#[cache_evict(cache = "load-and-evict", key = 1u64)]
async fn evict_and_load(calls: &Calls, id: u64) -> Option<u64> {
    calls.count().await;
    Some(id)
}

#[tokio::test]
async fn an_attribute_works_around_the_ones_above_it() {
    let calls = Calls::default();
    let registry =
        registry(&["evict-and-load", "evict-and-load-value", "load-and-evict", "load-and-evict-value"]).await;
    let evicted = registry.cache::<u64, u64>("evict-and-load").expect("numbers");
    registry.scope(load_and_evict(&calls, 5)).await;
    evicted.insert(1, 1);
    registry.scope(load_and_evict(&calls, 5)).await;
    assert_eq!((calls.get(), evicted.get(&1)), (1, Some(1)), "a hit does not run what the body was, with its eviction");
    let evicted = registry.cache::<u64, u64>("load-and-evict").expect("numbers");
    for _ in 0..2 {
        evicted.insert(1, 1);
        registry.scope(evict_and_load(&calls, 5)).await;
        assert_eq!(evicted.get(&1), None, "the eviction is around the load");
    }
    assert_eq!(calls.get(), 2);
}

#[cache_evict(cache = "evict-cancelled")]
async fn never(id: u64) -> Result<u64, String> {
    std::future::pending::<()>().await;
    Ok(id)
}

#[cache_evict(cache = "evict-cancelled", key = *result)]
async fn never_with_result(id: u64) -> Result<u64, String> {
    std::future::pending::<()>().await;
    Ok(id)
}

/// Polls `future` once and drops it.
async fn cancel(future: impl Future) {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_function_evicts_what_it_may_have_written() {
    let (registry, cache) = filled("evict-cancelled").await;
    registry.scope(cancel(never(2))).await;
    assert_eq!(keys(&cache), [1, 3]);
    registry.scope(cancel(never_with_result(1))).await;
    assert_eq!(keys(&cache), [0u64; 0], "which key it was is not known");
}

#[tokio::test]
async fn a_function_that_never_ran_evicts_nothing() {
    let (registry, cache) = filled("evict-cancelled").await;
    drop(registry.scope(never(2)));
    assert_eq!(keys(&cache), [1, 2, 3]);
}

#[cache_evict(cache = "evict-transaction")]
async fn write(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[tokio::test]
async fn in_a_transaction_the_eviction_waits_for_the_commit() {
    let (registry, cache) = filled("evict-transaction").await;
    let work = async {
        let transaction = Transaction::begin();
        transaction.scope(write(1)).await.expect("Ok");
        assert_eq!(keys(&cache), [1, 2, 3]);
        transaction.rollback();
        assert_eq!(keys(&cache), [1, 2, 3]);
        let transaction = Transaction::begin();
        transaction.scope(write(2)).await.expect("Ok");
        transaction.commit();
        assert_eq!(keys(&cache), [1, 3]);
    };
    registry.scope(work).await;
}

struct Repository {
    registry: Arc<Registry>,
    written: Vec<u64>,
}

impl Repository {
    #[cache_evict(cache = "evict-method", key = id, registry = self.registry)]
    async fn push(&mut self, id: u64) -> Result<&mut Vec<u64>, String> {
        tokio::task::yield_now().await;
        self.written.push(id);
        Ok(&mut self.written)
    }

    #[cache_evict(cache = "evict-method", key = self.written[0] + result.len() as u64, registry = self.registry)]
    async fn last(&mut self) -> Result<String, String> {
        self.written[0] = 1;
        Ok("ab".into())
    }
}

#[tokio::test]
async fn a_method_evicts_by_itself_and_its_result_and_can_return_a_borrow() {
    let (registry, cache) = filled("evict-method").await;
    let mut repository = Repository { registry: Arc::new(registry), written: Vec::new() };
    repository.push(2).await.expect("Ok").push(0);
    assert_eq!(keys(&cache), [1, 3]);
    repository.last().await.expect("Ok");
    assert_eq!(keys(&cache), [1], "the key of a result is evaluated after the body: 1 + 2");
    assert_eq!(repository.written, [1, 0]);
}
