//! Functions that return futures: Spring's `CompletableFuture`, `Mono` and `Flux`. An `async fn` is one of them, and what
//! the future resolves to is what is cached.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cachesync::{Cache, Registry, cache_config, cache_evict, cache_put, cacheable};
use futures_util::future::{BoxFuture, join, join_all};

use crate::{Calls, Entity, Refused, fixture::registry};

type Shared = Arc<Entity>;

/// Spring's `ReactiveCacheableService`: the same by each kind of function.
struct Kinds {
    registry: Registry,
    calls: Arc<Calls>,
}

#[cache_config(cache = "reactive", registry = self.registry)]
impl Kinds {
    #[cacheable(key = id)]
    async fn by_async(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = id)]
    fn by_future(&self, id: u64) -> impl Future<Output = u64> {
        async { self.calls.count().await }
    }

    #[cacheable(key = id)]
    fn by_box(&self, id: u64) -> BoxFuture<'_, u64> {
        Box::pin(self.calls.count())
    }

    #[cacheable(key = id)]
    fn by_pin(&self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async { self.calls.count().await })
    }

    #[cacheable(key = id)]
    fn without_future(&self, id: u64) -> u64 {
        self.calls.count_now()
    }

    #[cacheable(cache = "reactive-list", key = id)]
    fn list(&self, id: u64) -> impl Future<Output = Vec<u64>> {
        async { vec![self.calls.count().await, 0, 1, 2] }
    }

    #[cacheable(key = id)]
    fn refused(&self, id: u64) -> BoxFuture<'_, Result<u64, Refused>> {
        Box::pin(async move {
            assert_eq!(self.calls.count().await, 1, "invoked twice");
            Err(Refused(id))
        })
    }
}

async fn kinds() -> (Kinds, Cache<u64, u64>) {
    let registry = registry(&["reactive", "reactive-list"]).await;
    let cache = registry.cache("reactive").expect("numbers");
    (Kinds { registry, calls: Arc::default() }, cache)
}

/// `ReactiveCachingTests.cacheHitDetermination`.
#[tokio::test]
async fn every_kind_of_function_is_cached_and_shares_entries_with_the_others() {
    let (it, cache) = kinds().await;
    for expected in [1, 1, 1] {
        assert_eq!((it.by_async(1).await, it.by_future(2).await), (expected, expected + 1));
        assert_eq!((it.by_box(3).await, it.by_pin(4).await), (expected + 2, expected + 3));
        assert_eq!(it.without_future(5), expected + 4);
    }
    assert_eq!([1, 2, 3, 4, 5].map(|key| cache.get(&key)), [1, 2, 3, 4, 5].map(Some));
    assert_eq!((it.by_box(1).await, it.by_async(2).await, it.without_future(3)), (1, 2, 3));
    assert_eq!((it.by_future(4).await, it.by_pin(5).await), (4, 5));
    assert_eq!(it.calls.get(), 5);
}

/// `ReactiveCachingTests.cacheHitDetermination`, whose counter counts subscriptions.
#[tokio::test]
async fn nothing_happens_before_the_future_is_polled() {
    let (it, cache) = kinds().await;
    let (future, boxed, pinned) = (it.by_future(1), it.by_box(1), it.by_pin(1));
    assert_eq!((it.calls.get(), cache.len()), (0, 0));
    cache.insert(1, 100);
    assert_eq!((future.await, boxed.await, pinned.await), (100, 100, 100));
    drop(it.by_future(2));
    assert_eq!((it.calls.get(), cache.get(&2)), (0, None));
}

/// `ReactiveCachingTests.fluxCacheDoesntDependOnFirstRequest`.
#[tokio::test]
async fn a_list_is_cached_whole_however_much_of_it_is_taken() {
    let (it, _) = kinds().await;
    assert_eq!(it.list(1).await.into_iter().take(1).collect::<Vec<_>>(), [1]);
    assert_eq!(it.list(1).await.into_iter().take(3).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(it.list(1).await, [1, 0, 1, 2]);
}

/// `ReactiveCachingTests.cacheErrorHandlerWithLoggingCacheErrorHandlerAndOperationException`.
#[tokio::test]
async fn the_error_of_a_future_is_the_callers_and_its_body_ran_once() {
    let (it, cache) = kinds().await;
    assert_eq!(it.refused(1).await, Err(Refused(1)));
    assert_eq!((it.calls.get(), cache.len()), (1, 0));
}

/// `ReactiveCachingTests.cacheErrorHandlerWithLoggingCacheErrorHandlerAndOperationExceptionAndSync`.
#[tokio::test]
async fn the_future_of_an_error_that_is_shared_ran_once_for_its_caller() {
    #[cacheable(cache = "reactive", key = id)]
    fn refused_to_all(calls: &Calls, id: u64) -> BoxFuture<'_, Result<u64, Refused>> {
        Box::pin(async move { Err(Refused(id + calls.count().await)) })
    }
    let (it, cache) = kinds().await;
    let calls = Calls::default();
    let work = join(refused_to_all(&calls, 1), refused_to_all(&calls, 1));
    let errors = it.registry.scope(work).await;
    assert_eq!(errors, (Err(Refused(2)), Err(Refused(2))), "who waited is answered with it");
    assert_eq!((calls.get(), cache.len()), (1, 0));
}

/// Spring's services of `spr14235`: the name of the item is the key.
struct Items {
    registry: Registry,
    empty_called: AtomicBool,
}

#[cache_config(cache = "items", registry = self.registry)]
impl Items {
    #[cacheable(key = id, unless = result.name == "tb2")]
    fn find(&self, id: &str) -> impl Future<Output = Shared> {
        async move { Arc::new(Entity::new(0, id)) }
    }

    #[cacheable(key = id)]
    fn find_optional(&self, id: &str) -> impl Future<Output = Option<Shared>> {
        async move { (!id.is_empty()).then(|| Arc::new(Entity::new(0, id))) }
    }

    #[cacheable(key = id, cache_none)]
    fn find_empty<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Option<Shared>> {
        assert!(!self.empty_called.swap(true, Ordering::Relaxed), "{id:?}: called too often");
        Box::pin(async { None })
    }

    #[cache_put(key = &item.name)]
    fn insert(&self, item: Shared) -> impl Future<Output = Shared> {
        async { item }
    }

    #[cache_evict(all, unless = *result == 0)]
    fn clear(&self, answer: u64) -> impl Future<Output = u64> {
        async move { answer }
    }

    #[cacheable(cache = "item-lists", key = id, unless = result.is_empty())]
    fn list(&self, id: &str) -> impl Future<Output = Vec<Shared>> {
        async move { id.chars().map(|name| Arc::new(Entity::new(0, &name.to_string()))).collect() }
    }

    #[cache_put(cache = "item-lists", key = id)]
    fn insert_list(&self, id: &str, items: Vec<Shared>) -> impl Future<Output = Vec<Shared>> {
        async { items }
    }
}

async fn items() -> (Items, Cache<String, Shared>) {
    let registry = registry(&["items", "item-lists"]).await;
    let cache = registry.cache("items").expect("shared entities");
    (Items { registry, empty_called: AtomicBool::new(false) }, cache)
}

#[track_caller]
fn assert_same(left: Option<&Shared>, right: &Shared) {
    assert!(left.is_some_and(|left| Arc::ptr_eq(left, right)), "{left:?} is not that {right:?}");
}

/// `CacheReproTests.spr14235AdaptsToCompletableFuture`, `spr14235AdaptsToReactorMono`.
#[tokio::test]
async fn what_a_future_resolves_to_is_found_put_and_evicted() {
    let (it, cache) = items().await;
    let first = it.find("tb1").await;
    assert_same(Some(&it.find("tb1").await), &first);
    assert_same(cache.get("tb1").as_ref(), &first);
    it.clear(0).await;
    assert_same(cache.get("tb1").as_ref(), &first);
    it.clear(1).await;
    assert_eq!(cache.get("tb1"), None);
    let second = it.find("tb1").await;
    assert!(!Arc::ptr_eq(&first, &second));
    it.insert(first.clone()).await;
    assert_same(Some(&it.find("tb1").await), &first);
    let refused = it.find("tb2").await;
    assert!(!Arc::ptr_eq(&refused, &it.find("tb2").await));
    assert_eq!(cache.get("tb2"), None);
    for _ in 0..2 {
        assert_eq!(it.find_empty("").await, None);
    }
    assert_eq!((cache.len(), cache.get("")), (2, None), "that there is nothing is an entry");
}

/// `CacheReproTests.spr14235AdaptsToCompletableFutureWithSync`, `spr14235AdaptsToReactorMonoWithSync`.
#[tokio::test]
async fn futures_of_one_key_at_the_same_time_resolve_to_one_value() {
    let (it, cache) = items().await;
    let found = join_all((0..5).map(|_| it.find("tb1"))).await;
    for item in &found {
        assert_same(cache.get("tb1").as_ref(), item);
    }
    cache.evict_all();
    assert!(!Arc::ptr_eq(&it.find("tb1").await, &found[0]));
    it.insert(found[0].clone()).await;
    assert_same(Some(&it.find("tb1").await), &found[0]);
}

/// `CacheReproTests.spr14235AdaptsToReactorFlux`, `spr14235AdaptsToReactorFluxWithSync`.
#[tokio::test]
async fn a_list_is_found_put_and_refused_as_one_value() {
    let (it, _) = items().await;
    let cache = it.registry.cache::<String, Vec<Shared>>("item-lists").expect("lists");
    let first = it.list("ab").await;
    assert_same(it.list("ab").await.last(), &first[1]);
    assert_eq!(cache.get("ab"), Some(first.clone()));
    cache.evict_all();
    assert!(!Arc::ptr_eq(&it.list("ab").await[0], &first[0]));
    it.insert_list("ab", first.clone()).await;
    assert_same(it.list("ab").await.first(), &first[0]);
    assert!(it.list("").await.is_empty());
    assert_eq!(cache.get(""), None);
}

/// `CacheReproTests.spr14230AdaptsToOptional`, `spr14853AdaptsToOptionalWithSync`.
#[tokio::test]
async fn a_function_that_may_find_nothing_shares_entries_with_one_that_always_returns_something() {
    let (it, cache) = items().await;
    let inserted = it.insert(Arc::new(Entity::new(1, "tb1"))).await;
    assert_same(it.find_optional("tb1").await.as_ref(), &inserted);
    cache.evict_all();
    let found = it.find_optional("tb1").await.expect("it makes one");
    assert!(!Arc::ptr_eq(&found, &inserted));
    assert_same(cache.get("tb1").as_ref(), &found);
    assert_eq!((it.find_optional("").await, cache.len()), (None, 1));
}
