//! Where the attributes may stand: plain functions, functions that return futures, methods of every kind.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use cachesync::{Cache, Registry, Transaction, Value, cache_config, cache_evict, cache_put, cacheable};
use cachesync_tests::gate::Gate;
use futures_util::future::{BoxFuture, LocalBoxFuture};

use crate::{
    Calls,
    nodes::{SETTLE, begun, behind, cache, clocked, registry, stats},
};

#[cacheable(cache = "place-plain", key = id, registry = registry)]
fn plain(registry: &Registry, id: u64, value: Result<u64, String>) -> Result<u64, String> {
    let value = value?;
    Ok(value)
}

#[cacheable(cache = "place-plain", key = id, registry = registry)]
async fn waiting(registry: &Registry, id: u64, body: impl Future<Output = u64>) -> u64 {
    body.await
}

#[cache_put(cache = "place-plain", key = id, registry = registry)]
fn plain_put(registry: &Registry, id: u64, value: Option<u64>) -> Option<u64> {
    assert_ne!(value, Some(666), "on purpose");
    value
}

#[cache_evict(cache = "place-plain", key = *result, registry = registry)]
fn plain_save(registry: &Registry, result_of: Result<u64, String>) -> Result<u64, String> {
    let id = result_of?;
    assert_ne!(id, 666, "on purpose");
    Ok(id)
}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "place-plain")
}

#[tokio::test]
async fn a_plain_function_is_cached_put_and_evicts() {
    let registry = registry(&["place-plain"]).await;
    assert_eq!(plain(&registry, 1, Err("down".into())), Err("down".into()));
    assert_eq!(plain(&registry, 1, Ok(1)), Ok(1));
    assert_eq!(plain(&registry, 1, Ok(2)), Ok(1));
    assert_eq!(plain_put(&registry, 1, Some(3)), Some(3));
    assert_eq!(plain(&registry, 1, Ok(2)), Ok(3));
    plain_save(&registry, Err("refused".into())).expect_err("refused");
    assert_eq!(plain(&registry, 1, Ok(2)), Ok(3));
    plain_save(&registry, Ok(1)).expect("Ok");
    assert_eq!(plain(&registry, 1, Ok(2)), Ok(2));
    plain_put(&registry, 1, None);
    assert_eq!(numbers(&registry).get(&1), None);
}

#[tokio::test]
async fn a_plain_function_does_not_wait_for_a_load_elsewhere_and_may_keep_its_value() {
    let registry = registry(&["place-plain"]).await;
    let gate = Gate::new();
    let loading = begun(waiting(&registry, 1, behind(&gate, 1))).await;
    assert_eq!(plain(&registry, 1, Ok(2)), Ok(2));
    assert_eq!(numbers(&registry).get(&1), Some(2));
    assert_eq!(waiting(&registry, 1, async { 3 }).await, 2, "a hit for those who come now");
    drop(loading);
    assert_eq!(numbers(&registry).get(&1), Some(2));
}

#[tokio::test]
async fn a_plain_function_that_an_eviction_overtakes_keeps_nothing() {
    #[cacheable(cache = "place-plain", key = id, registry = registry)]
    fn overtaken(registry: &Registry, id: u64) -> u64 {
        plain_save(registry, Ok(id)).expect("Ok")
    }
    let registry = registry(&["place-plain"]).await;
    assert_eq!(overtaken(&registry, 1), 1);
    assert_eq!(numbers(&registry).get(&1), None);
}

#[tokio::test]
async fn a_plain_function_that_panics_leaves_nothing_or_evicts_with_a_hold() {
    let (registry, clock) = clocked(&["place-plain"]).await;
    (1..=2).for_each(|key| numbers(&registry).insert(key, key));
    let panics = |work: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    panics(&|| _ = plain_put(&registry, 1, Some(666)));
    assert_eq!([1, 2].map(|key| numbers(&registry).get(&key)), [None, Some(2)]);
    plain(&registry, 1, Ok(1)).expect("Ok");
    assert_eq!(numbers(&registry).get(&1), None, "it is held");
    clock.advance(SETTLE);
    panics(&|| _ = plain_save(&registry, Ok(666)));
    assert!(numbers(&registry).is_empty(), "which key it was is not known");
}

#[tokio::test]
async fn a_plain_function_finds_registry_and_transaction_in_scope() {
    #[cacheable(cache = "place-scope", key = id)]
    fn load(id: u64) -> u64 {
        id
    }
    #[cache_evict(cache = "place-scope", key = id)]
    fn save(id: u64) {}
    let registry = registry(&["place-scope"]).await;
    let numbers = cache::<u64, u64>(&registry, "place-scope");
    registry.scope(async { load(1) }).await;
    let transaction = Transaction::begin();
    transaction.scope(registry.scope(async { save(1) })).await;
    assert_eq!(numbers.get(&1), Some(1));
    transaction.commit();
    assert_eq!(numbers.get(&1), None);
}

/// Counts the keys that were made, too.
fn counted(calls: &Calls, id: u64) -> u64 {
    calls.0.fetch_add(100, std::sync::atomic::Ordering::Relaxed);
    id
}

#[cacheable(cache = "place-futures", key = counted(calls, id))]
fn returned(calls: &Calls, id: u64) -> impl Future<Output = Result<u64, String>> + Send {
    let doubled = 2 * id;
    async move {
        calls.count().await;
        Ok(doubled)
    }
}

#[cacheable(cache = "place-futures", key = counted(calls, id))]
fn pinned<'a>(calls: &'a Calls, id: u64) -> Pin<Box<dyn Future<Output = Result<u64, String>> + Send + 'a>> {
    Box::pin(returned(calls, id))
}

#[cacheable(cache = "place-futures", key = counted(calls, id))]
fn boxed(calls: &Calls, id: u64) -> BoxFuture<'_, Result<u64, String>> {
    Box::pin(async move { returned(calls, id).await })
}

#[cache_evict(cache = "place-futures", key = counted(calls, id))]
fn boxed_save(calls: &Calls, id: u64) -> LocalBoxFuture<'_, Result<(), String>> {
    Box::pin(async move {
        calls.count().await;
        Ok(())
    })
}

#[cache_put(cache = "place-futures", key = *result)]
fn returned_put(calls: &Calls, id: u64) -> impl Future<Output = Option<u64>> {
    async move {
        calls.count().await;
        Some(id)
    }
}

fn sendable<T: Send>(future: T) -> T {
    future
}

#[tokio::test]
async fn of_a_function_that_returns_a_future_the_output_is_cached() {
    let registry = registry(&["place-futures"]).await;
    let calls = Calls::default();
    let work = async {
        for calls_by_now in [101, 201] {
            assert_eq!(sendable(returned(&calls, 1)).await, Ok(2));
            assert_eq!(calls.get(), calls_by_now);
        }
        for calls_by_now in [402, 502] {
            assert_eq!(sendable(pinned(&calls, 2)).await, Ok(4));
            assert_eq!(calls.get(), calls_by_now, "the inner one runs the body");
        }
        for calls_by_now in [703, 803] {
            assert_eq!(sendable(boxed(&calls, 3)).await, Ok(6));
            assert_eq!(calls.get(), calls_by_now);
        }
        boxed_save(&calls, 1).await.expect("Ok");
        assert_eq!(returned(&calls, 1).await, Ok(2));
        assert_eq!(calls.get(), 1005);
    };
    registry.scope(work).await;
}

#[tokio::test]
async fn nothing_happens_before_the_first_poll_of_a_future_that_is_returned() {
    let registry = registry(&["place-futures"]).await;
    let calls = Calls::default();
    let numbers = cache::<u64, u64>(&registry, "place-futures");
    numbers.insert(1, 1);
    let work = async {
        drop(returned(&calls, 2));
        drop(pinned(&calls, 2));
        drop(boxed(&calls, 2));
        drop(boxed_save(&calls, 1));
        drop(returned_put(&calls, 1));
        assert_eq!((calls.get(), numbers.get(&1)), (0, Some(1)), "not even a key is made");
    };
    registry.scope(work).await;
    drop(begun(registry.scope(boxed_save(&calls, 1))).await);
    assert_eq!(numbers.get(&1), None, "a future that was polled and dropped evicts");
    registry.scope(returned_put(&calls, 7)).await;
    assert_eq!(numbers.get(&7), Some(7));
    assert_eq!(stats(&registry, "place-futures").loads, 0);
}

#[async_trait]
trait Repository: Sync {
    fn calls(&self) -> &Calls;

    async fn find(&self, id: u64) -> Result<Option<String>, String>;

    async fn save(&mut self, id: u64, text: &str) -> Result<(), String>;

    async fn rename(&self, pair: (u64, u64)) -> Option<u64>;

    #[cacheable(cache = "place-provided", key = id)]
    async fn provided(&self, id: u64) -> u64 {
        u64::from(self.calls().count().await) + id
    }
}

#[derive(Default)]
struct Rows {
    calls: Calls,
    seen: Vec<String>,
}

#[async_trait]
impl Repository for Rows {
    fn calls(&self) -> &Calls {
        &self.calls
    }

    #[cacheable(cache = "place-trait", key = id, cache_none)]
    async fn find(&self, id: u64) -> Result<Option<String>, String> {
        let loads = self.calls.count().await;
        Ok((id > 1).then(|| format!("{id} by {loads}")))
    }

    #[cache_evict(cache = "place-trait", key = id)]
    async fn save(&mut self, id: u64, text: &str) -> Result<(), String> {
        self.seen.push(format!("{id} {text}"));
        tokio::task::yield_now().await;
        Ok(())
    }

    #[cache_put(cache = "place-renamed", key = *result)]
    async fn rename(&self, (id, by): (u64, u64)) -> Option<u64> {
        self.calls.count().await;
        Some(id + by)
    }
}

async fn check(rows: &mut dyn Repository, caches: &[&str; 3]) {
    let registry = registry(caches).await;
    let work = async {
        for _ in 0..2 {
            assert_eq!(rows.find(1).await, Ok(None));
            assert_eq!(rows.find(2).await, Ok(Some("2 by 2".into())));
            assert_eq!(rows.provided(5).await, 8);
        }
        rows.save(2, "new").await.expect("Ok");
        assert_eq!(rows.find(2).await, Ok(Some("2 by 4".into())));
        assert_eq!(rows.rename((1, 2)).await, Some(3));
        assert_eq!(cache::<u64, u64>(&registry, caches[1]).get(&3), Some(3));
    };
    registry.scope(work).await;
}

#[tokio::test]
async fn methods_of_an_async_trait_are_cached() {
    let mut rows = Rows::default();
    check(&mut rows, &["place-trait", "place-renamed", "place-provided"]).await;
    assert_eq!(rows.seen, ["2 new"]);
}

macro_rules! with_config {
    ($name:ident $cache:literal $renamed:literal #[$($first:tt)*] #[$($second:tt)*]) => {
        #[derive(Default)]
        struct $name(Calls);

        #[$($first)*]
        #[$($second)*]
        impl Repository for $name {
            fn calls(&self) -> &Calls {
                &self.0
            }

            #[cacheable(key = id, cache_none)]
            async fn find(&self, id: u64) -> Result<Option<String>, String> {
                let loads = self.0.count().await;
                Ok((id > 1).then(|| format!("{id} by {loads}")))
            }

            #[cache_evict(key = id)]
            async fn save(&mut self, id: u64, _text: &str) -> Result<(), String> {
                // The key's is not this one, which `async_trait` has made.
                _ = id;
                tokio::task::yield_now().await;
                Ok(())
            }

            #[cache_put(cache = $renamed, key = *result)]
            async fn rename(&self, (id, by): (u64, u64)) -> Option<u64> {
                self.0.count().await;
                Some(id + by)
            }
        }
    };
}

with_config!(Above "place-above" "place-above-renamed" #[cache_config(cache = "place-above")] #[async_trait]);
with_config!(Below "place-below" "place-below-renamed" #[async_trait] #[cache_config(cache = "place-below")]);

#[tokio::test]
async fn async_trait_and_cache_config_can_stand_in_either_order() {
    check(&mut Above::default(), &["place-above", "place-above-renamed", "place-provided"]).await;
    check(&mut Below::default(), &["place-below", "place-below-renamed", "place-provided"]).await;
}

struct Service<T> {
    calls: Arc<Calls>,
    base: T,
}

impl<T: Value + Into<u64> + Copy> Service<T> {
    #[cache_put(cache = "place-methods", key = (self.base.into(), id))]
    async fn put(&mut self, id: u64, base: T) -> Result<T, String> {
        self.calls.count().await;
        self.base = base;
        Ok(base)
    }

    #[cacheable(cache = "place-methods", key = (self.base.into(), id), ttl = |_| SETTLE)]
    async fn find(&self, id: u64) -> Result<T, String> {
        self.calls.count().await;
        Ok(self.base)
    }

    #[cacheable(cache = "place-methods", key = (self.base.into(), id))]
    fn find_now(self: Arc<Self>, id: u64) -> Result<T, String> {
        Ok(self.base)
    }

    #[cacheable(cache = "place-methods-batch", keys = ids, key = |id| (self.base.into(), *id))]
    async fn find_many<M: Debug>(&self, _more: M, ids: &[u64], made: impl Fn(u64) -> T) -> Vec<(u64, T)> {
        self.calls.count().await;
        ids.iter().map(|id| (*id, made(*id))).collect()
    }

    #[cache_evict(cache = "place-methods", key = (self.base.into(), id), unless = *result)]
    fn save(self, id: u64) -> bool {
        id == 0
    }
}

#[tokio::test]
async fn methods_with_every_receiver_of_a_generic_impl_take_every_attribute() {
    let registry = registry(&["place-methods", "place-methods-batch"]).await;
    let calls = Arc::new(Calls::default());
    let service = |base: u32| Service { calls: calls.clone(), base };
    let work = async {
        let mut first = service(1);
        assert_eq!(first.find(5).await, Ok(1));
        assert_eq!(first.put(5, 2).await, Ok(2));
        assert_eq!(service(1).find(5).await, Ok(2), "the key is that of before the body");
        assert_eq!(Arc::new(service(1)).find_now(5), Ok(2));
        assert_eq!(calls.get(), 2);
        assert!(!service(1).save(5));
        assert_eq!(service(1).find(5).await, Ok(1));
        assert_eq!(calls.get(), 3);
        assert_eq!(service(3).find_many("a", &[1, 2], |_| 7).await, [(1, 7), (2, 7)]);
        assert_eq!(service(3).find_many('b', &[2, 3], |_| 8).await, [(2, 7), (3, 8)]);
    };
    registry.scope(work).await;
    assert!(registry.describe().caches.iter().all(|cache| cache.problems.is_empty()));
}

#[async_trait]
trait Lists {
    async fn list(&self, kind: String, page: u32) -> Option<String>;
}

struct Shelf(Registry);

#[async_trait]
impl Lists for Shelf {
    #[cacheable(cache = "place-lists", key = (&kind, page), registry = self.0, tags = [&kind], ttl = wait(&kind))]
    async fn list(&self, kind: String, page: u32) -> Option<String> {
        Some(kind + &page.to_string())
    }
}

fn wait(kind: &str) -> Duration {
    Duration::from_secs(kind.len() as u64)
}

/// Below `#[async_trait]` the body takes every parameter; what needs no result has been taken from them before.
#[tokio::test]
async fn tags_and_times_without_result_can_use_what_the_body_takes() {
    let registry = registry(&["place-lists"]).await;
    let shelf = Shelf(registry.clone());
    let lists = cache::<(String, u32), String>(&registry, "place-lists");
    for page in [1, 2] {
        shelf.list("books".into(), page).await.expect("there is one");
        shelf.list("games".into(), page).await.expect("there is one");
    }
    lists.evict_tag("books");
    let left = [("books", 1), ("games", 1), ("games", 2)].map(|key| lists.get(key).is_some());
    assert_eq!(left, [false, true, true]);
}
