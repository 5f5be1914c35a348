//! Annotated functions of every form: plain ones, and such as return a future.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
};

use cachesync::{Registry, cache_config, cache_evict, cache_put, cacheable};

use crate::{Calls, registry};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

static ORDER: AtomicU32 = AtomicU32::new(0);

#[cacheable(cache = "form-plain", key = id)]
fn plain(calls: &AtomicU32, id: u64) -> Result<u64, String> {
    let calls = calls.fetch_add(1, Ordering::Relaxed);
    if calls == 0 {
        return Err("first".into());
    }
    Ok(id.checked_add(u64::from(calls)).ok_or("overflow")?)
}

#[cache_evict(cache = "form-plain", key = *result)]
fn evict_plain(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[tokio::test]
async fn a_plain_function_is_cached_and_evicts() {
    let calls = AtomicU32::new(0);
    let work = async {
        assert_eq!(plain(&calls, 1), Err("first".into()));
        assert_eq!((plain(&calls, 1), plain(&calls, 1)), (Ok(2), Ok(2)));
        assert_eq!(evict_plain(1), Ok(1));
        assert_eq!(plain(&calls, 1), Ok(3));
    };
    registry(&["form-plain"]).await.scope(work).await;
    assert_eq!(plain(&calls, 1), Ok(4), "and without a registry it runs");
}

#[cacheable(cache = "form-future", key = { ORDER.fetch_add(1, Ordering::Relaxed); id })]
fn future(calls: &Calls, id: u64) -> impl Future<Output = Option<u64>> + Send {
    assert!(id > 0, "this too belongs to the body");
    async move { Some(id + u64::from(calls.count().await)) }
}

#[tokio::test]
async fn what_returns_a_future_does_everything_when_that_is_polled() {
    let calls = Calls::default();
    let work = async {
        let first = future(&calls, 1);
        drop(future(&calls, 0));
        assert_eq!(ORDER.load(Ordering::Relaxed), 0);
        assert_eq!(first.await, Some(2));
        assert_eq!(future(&calls, 1).await, Some(2));
        assert_eq!((calls.get(), ORDER.load(Ordering::Relaxed)), (1, 2));
    };
    registry(&["form-future"]).await.scope(work).await;
}

struct Repository {
    calls: Calls,
    registry: Registry,
}

/// As `#[async_trait]` makes it.
trait Repositories {
    fn find<'life0, 'async_trait>(
        &'life0 self,
        id: u64,
    ) -> Pin<Box<dyn Future<Output = Result<u32, String>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait;
}

#[cache_config(cache = "form-boxed", registry = self.registry)]
impl Repositories for Repository {
    #[cacheable(key = id)]
    fn find<'life0, 'async_trait>(
        &'life0 self,
        id: u64,
    ) -> Pin<Box<dyn Future<Output = Result<u32, String>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let __self = self;
            let id = id;
            let __ret: Result<u32, String> =
                { if id == 0 { Err("none".into()) } else { Ok(__self.calls.count().await) } };
            __ret
        })
    }
}

impl Repository {
    #[cache_put(cache = "form-boxed", key = id, registry = self.registry, unless = *result > 100)]
    fn put<'a>(&'a self, id: &'a u64, value: u32) -> BoxFuture<'a, Result<u32, String>> {
        Box::pin(async move { if *id == 9 { Err("refused".into()) } else { Ok(value) } })
    }
}

#[tokio::test]
async fn a_boxed_future_is_cached_and_put() {
    let repository = Repository { calls: Calls::default(), registry: registry(&["form-boxed"]).await };
    assert!(repository.find(0).await.is_err());
    assert_eq!((repository.find(1).await, repository.find(1).await), (Ok(1), Ok(1)));
    assert_eq!(repository.put(&1, 7).await, Ok(7));
    assert_eq!(repository.find(1).await, Ok(7));
    assert_eq!(repository.put(&1, 101).await, Ok(101));
    assert_eq!(repository.find(1).await, Ok(2), "what is not to be stored is evicted");
    let described = repository.registry.describe();
    let names: Vec<_> = described.caches[0].functions.iter().map(|function| function.name.as_str()).collect();
    assert!(names[0].ends_with("::forms::Repository::find"), "its type is known by `#[cache_config]`: {names:?}");
    assert!(names[1].ends_with("::forms::put"), "its type is not known: {names:?}");
}

#[cacheable(cache = "form-batch", keys = ids, key = |id| (tenant, id), unless = *result > 100, cache_none)]
fn batch(seen: &mut Vec<u64>, tenant: u8, mut ids: Vec<u64>) -> Result<HashMap<u64, u64>, String> {
    ids.sort_unstable();
    seen.clone_from(&ids);
    if ids.contains(&0) {
        return Err("zero".into());
    }
    Ok(ids.into_iter().filter(|id| *id != 5).map(|id| (id, id * 10)).collect())
}

#[cacheable(cache = "form-batch-names", keys = names)]
fn boxed_batch<'a>(calls: &'a Calls, names: &'a BTreeSet<String>) -> BoxFuture<'a, BTreeMap<String, usize>> {
    Box::pin(async move {
        calls.count().await;
        names.iter().map(|name| (name.clone(), name.len())).collect()
    })
}

#[tokio::test]
async fn the_body_of_a_batch_sees_what_is_missing() {
    let registry = registry(&["form-batch", "form-batch-names"]).await;
    let calls = Calls::default();
    let work = async {
        let mut seen = Vec::new();
        let answer = batch(&mut seen, 1, vec![2, 1, 2]).expect("Ok");
        assert_eq!((seen, answer), (vec![1, 2], HashMap::from([(1, 10), (2, 20)])));
        let mut seen = Vec::new();
        let answer = batch(&mut seen, 1, vec![1, 3, 5, 11]).expect("Ok");
        assert_eq!((seen, answer.len()), (vec![3, 5, 11], 3));
        let mut seen = Vec::new();
        let answer = batch(&mut seen, 1, vec![1, 3, 5, 11]).expect("Ok");
        assert_eq!((seen, answer.len()), (vec![11], 3), "that there is no 5 is known; 110 was not to be stored");
        assert!(batch(&mut Vec::new(), 1, vec![0]).is_err());
        let mut seen = Vec::new();
        batch(&mut seen, 2, vec![1]).expect("Ok");
        assert_eq!(seen, [1], "another tenant's");

        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(boxed_batch(&calls, &names(&["a", "bc"])).await["bc"], 2);
        assert_eq!(boxed_batch(&calls, &names(&["a"])).await["a"], 1);
        assert_eq!(calls.get(), 1);
    };
    registry.scope(work).await;
}

static KEYS: AtomicU32 = AtomicU32::new(0);

#[cacheable(cache = "form-condition", key = { KEYS.fetch_add(1, Ordering::Relaxed); id }, condition = id > 3)]
async fn conditional(calls: &Calls, id: u64) -> Option<u32> {
    Some(calls.count().await)
}

#[cache_evict(cache = "form-condition", keys = [*result, { assert!(id > 3); id }], condition = id > 3)]
async fn evict_conditional(id: u64) -> u64 {
    id + 1
}

#[tokio::test]
async fn with_a_condition_that_is_false_nothing_else_is_evaluated() {
    let calls = Calls::default();
    let work = async {
        let before = KEYS.load(Ordering::Relaxed);
        assert_eq!((conditional(&calls, 1).await, conditional(&calls, 1).await), (Some(1), Some(2)));
        assert_eq!(KEYS.load(Ordering::Relaxed), before);
        assert_eq!((conditional(&calls, 4).await, conditional(&calls, 4).await), (Some(3), Some(3)));
        evict_conditional(1).await;
        assert_eq!(conditional(&calls, 4).await, Some(3));
        evict_conditional(4).await;
        assert_eq!(conditional(&calls, 4).await, Some(4));
    };
    registry(&["form-condition"]).await.scope(work).await;
}
