//! Several attributes on one function, and several functions on one cache.

use std::{collections::HashMap, fmt::Debug, marker::PhantomData, sync::Arc};

use cachesync::{Key, Registry, cache_config, cache_evict, cache_put, cacheable};
use cachesync_tests::wait::{DEADLINE, eventually};

use super::nodes;
use crate::{Calls, registry};

// A put whose key is said by the result, in an `impl` with type and const parameters.
struct Store<I, const N: usize> {
    calls: Calls,
    caches: Registry,
    id: PhantomData<I>,
}

trait Row: Clone + Send + Sync + 'static {
    type Id: Key;
    fn id(&self) -> Self::Id;
}

#[derive(Clone, PartialEq, Debug)]
struct Account {
    number: String,
}
impl Row for Account {
    type Id = String;
    fn id(&self) -> String {
        self.number.clone()
    }
}

#[cache_config(registry = self.caches, cache = "program-generic-put")]
impl<R: Row, const N: usize> Store<R, N> {
    #[cache_put(key = (N, result.id()))]
    async fn create(&self, row: R) -> Result<R, String> {
        self.calls.count().await;
        Ok(row)
    }

    #[cacheable(key = (N, id))]
    async fn find(&self, id: &R::Id) -> Option<R> {
        let _ = id;
        self.calls.count().await;
        None
    }
}

#[tokio::test]
async fn a_put_under_a_key_from_the_result_is_found_in_a_generic_impl() {
    let caches = registry(&["program-generic-put"]).await;
    let store = Store::<Account, 4> { calls: Calls::default(), caches: caches.clone(), id: PhantomData };
    let account = Account { number: "x".into() };
    store.create(account.clone()).await.unwrap();
    assert_eq!(store.find(&"x".to_owned()).await, Some(account));
    assert_eq!(store.calls.get(), 1);
    let other = Store::<Account, 5> { calls: Calls::default(), caches, id: PhantomData };
    assert_eq!(other.find(&"x".to_owned()).await, None);
    assert_eq!(other.calls.get(), 1);
}

// Tags of entries in several caches, on two nodes.
#[cacheable(cache = ["program-tags-a", "program-tags-b"], key = id, tags = [id % 2, "all"])]
async fn both(calls: &Calls, id: u64) -> u64 {
    calls.count().await;
    id
}
#[cache_evict(cache = ["program-tags-a", "program-tags-b"], tag = [odd, "none"])]
async fn evict_both(odd: u64) {}

#[tokio::test]
async fn a_tag_is_evicted_from_several_caches_on_all_nodes() {
    let [one, two] = nodes(&["program-tags-a", "program-tags-b"]).await;
    let calls = Calls::default();
    for node in [&one, &two] {
        node.scope(async {
            both(&calls, 1).await;
            both(&calls, 2).await;
        })
        .await;
    }
    assert_eq!(calls.get(), 4);
    two.scope(evict_both(1)).await;
    for node in [&one, &two] {
        for name in ["program-tags-a", "program-tags-b"] {
            let cache = node.cache::<u64, u64>(name).unwrap();
            eventually(DEADLINE, || cache.get(&1).is_none()).await;
            assert_eq!(cache.get(&2), Some(2));
        }
    }
}

// A typed cache with a tuple as its key, from which the `Some` of an optional list is evicted.
cachesync::cache! {
    /// By tenant and name.
    BY_NAME: "program-by-name" => ((u32, String), Arc<str>);
}
#[cacheable(cache = BY_NAME, key = (tenant, name))]
async fn by_name(calls: &Calls, tenant: u32, name: &str) -> Option<Arc<str>> {
    calls.count().await;
    Some(name.into())
}
#[cache_evict(cache = BY_NAME, keys = result.iter().flatten().map(|name| (tenant, name)))]
async fn take(tenant: u32, names: Option<Vec<String>>) -> Option<Vec<String>> {
    names
}
#[tokio::test]
async fn keys_of_an_optional_list_are_evicted_from_a_typed_cache() {
    let caches = registry(&["program-by-name"]).await;
    caches
        .scope(async {
            let calls = Calls::default();
            by_name(&calls, 1, "a").await;
            by_name(&calls, 1, &String::from("a")).await;
            assert_eq!(calls.get(), 1);
            assert_eq!(BY_NAME.get((1, "a")).as_deref(), Some("a"));
            take(1, None).await;
            take(1, Some(vec![])).await;
            assert!(BY_NAME.get((1, "a")).is_some());
            take(1, Some(vec!["a".into()])).await;
            assert!(BY_NAME.get((1, "a")).is_none());
        })
        .await;
}

// Three attributes on one function.
#[cacheable(cache = "program-stack", key = id)]
#[cache_put(cache = "program-stack-latest", key = result.len())]
#[cache_evict(cache = "program-stack-lists", tag = id, condition = id > 1)]
async fn stacked(calls: &Calls, id: u64) -> Result<String, String> {
    calls.count().await;
    if id == 0 { Err("zero".into()) } else { Ok(format!("{id}")) }
}
#[cacheable(cache = "program-stack-lists", key = id, tags = [id])]
async fn list(calls: &Calls, id: u64) -> u64 {
    calls.count().await;
    id
}
#[tokio::test]
async fn stacked_attributes_each_act_on_their_own() {
    let caches = registry(&["program-stack", "program-stack-latest", "program-stack-lists"]).await;
    let latest = caches.cache::<usize, String>("program-stack-latest").unwrap();
    let lists = caches.cache::<u64, u64>("program-stack-lists").unwrap();
    caches
        .scope(async {
            let (calls, lists_read) = (Calls::default(), Calls::default());
            list(&lists_read, 1).await;
            list(&lists_read, 22).await;
            assert!(stacked(&calls, 0).await.is_err());
            assert_eq!(latest.get(&1), None);
            stacked(&calls, 1).await.unwrap();
            assert_eq!(latest.get(&1).as_deref(), Some("1"));
            assert!(lists.get(&1).is_some());
            stacked(&calls, 22).await.unwrap();
            // Below `#[cacheable]` it acts at every call, also when that one answers from memory.
            list(&lists_read, 22).await;
            let before = lists_read.get();
            stacked(&calls, 22).await.unwrap();
            list(&lists_read, 22).await;
            assert_eq!((calls.get(), lists_read.get() - before), (3, 1));
        })
        .await;
}

// Absences and errors that another function remembers.
#[derive(Debug, Clone, PartialEq)]
struct Gone;
#[cacheable(cache = "program-absent", key = id, cache_none, cache_err = |_| true)]
async fn absent(calls: &Calls, id: u64) -> Result<Option<u8>, Gone> {
    calls.count().await;
    if id == 9 { Err(Gone) } else { Ok(None) }
}
#[cacheable(cache = "program-absent", key = id)]
async fn without_flag(calls: &Calls, id: u64) -> Option<u8> {
    let _ = id;
    calls.count().await;
    Some(1)
}
#[cacheable(cache = "program-absent", key = id)]
async fn plain_value(calls: &Calls, id: u64) -> u8 {
    let _ = id;
    calls.count().await;
    2
}
#[cacheable(cache = "program-absent", key = id)]
async fn other_error(calls: &Calls, id: u64) -> Result<u8, String> {
    let _ = id;
    calls.count().await;
    Ok(3)
}
#[cacheable(cache = "program-absent", key = id)]
async fn same_error(calls: &Calls, id: u64) -> Result<u8, Gone> {
    let _ = id;
    calls.count().await;
    Ok(4)
}
#[cacheable(cache = "program-absent", keys = ids)]
async fn absent_batch(calls: &Calls, ids: &[u64]) -> HashMap<u64, u8> {
    calls.count().await;
    ids.iter().map(|id| (*id, 9)).collect()
}
#[tokio::test]
async fn an_absence_or_an_error_answers_whoever_can_return_it() {
    registry(&["program-absent"])
        .await
        .scope(async {
            let calls = Calls::default();
            assert_eq!(absent(&calls, 1).await, Ok(None));
            assert_eq!(without_flag(&calls, 1).await, None);
            assert_eq!(absent_batch(&calls, &[1]).await, HashMap::new());
            assert_eq!(calls.get(), 1, "no flag is needed to be answered");
            assert_eq!(plain_value(&calls, 1).await, 2, "which cannot say that there is nothing");
            assert_eq!(without_flag(&calls, 1).await, Some(2));
            assert_eq!(calls.get(), 2);

            assert_eq!(absent(&calls, 9).await, Err(Gone));
            assert_eq!(same_error(&calls, 9).await, Err(Gone));
            assert_eq!(calls.get(), 3);
            assert_eq!(other_error(&calls, 9).await, Ok(3));
            assert_eq!(same_error(&calls, 9).await, Ok(3));
            assert_eq!(calls.get(), 4);
        })
        .await;
}

// How to force a refresh, as the page about `cached` says.
#[cacheable(cache = "program-refresh", key = id)]
#[cache_evict(cache = "program-refresh", key = id, before, condition = refresh)]
async fn refreshed(calls: &Calls, id: u64, refresh: bool) -> u32 {
    let _ = (id, refresh);
    calls.count().await
}
#[tokio::test]
async fn an_eviction_before_a_load_forces_a_refresh() {
    registry(&["program-refresh"])
        .await
        .scope(async {
            let calls = Calls::default();
            assert_eq!(refreshed(&calls, 1, false).await, 1);
            assert_eq!(refreshed(&calls, 1, true).await, 2);
            assert_eq!(refreshed(&calls, 1, false).await, 2);
        })
        .await;
}

// `result` in format strings and macros, and shadowed by a closure.
#[cacheable(cache = "program-format", key = id, tags = [format!("v:{result}"), format!("w:{}", result)], unless = [1, 2].iter().any(|result| *result > 5))]
async fn formatted(calls: &Calls, id: u64) -> String {
    calls.count().await;
    format!("{id}")
}
#[cache_evict(cache = "program-format", tag = format!("v:{result}"))]
async fn format_evict(id: u64) -> u64 {
    id + 1
}
#[cache_evict(cache = "program-format", keys = { let mut ids = vec![id]; ids.extend(matches!(result, Ok(1)).then_some(9)); ids }, cache_value)]
async fn block_evict(id: u64) -> Result<u64, String> {
    Ok(id)
}
#[tokio::test]
async fn a_result_is_seen_in_format_strings() {
    let caches = registry(&["program-format"]).await;
    let cache = caches.cache::<u64, String>("program-format").unwrap();
    caches
        .scope(async {
            let calls = Calls::default();
            for id in [1, 2, 9] {
                formatted(&calls, id).await;
            }
            format_evict(1).await;
            assert_eq!([1, 2, 9].map(|id| cache.get(&id).is_some()), [true, false, true]);
            block_evict(1).await.unwrap();
            assert_eq!([1, 2, 9].map(|id| cache.get(&id).is_some()), [false; 3]);
        })
        .await;
}
