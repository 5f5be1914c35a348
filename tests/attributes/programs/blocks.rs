//! Blocks and traits of services.

use std::{
    borrow::Cow,
    collections::HashMap,
    error::Error,
    fmt::Debug,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use cachesync::{CacheConfig, ManualClock, Registry, UnknownCaches, cache_config, cache_evict, cache_put, cacheable};
use cachesync_tests::wait::{DEADLINE, eventually};

use super::nodes;
use crate::{Calls, registry};

// A batch in the `impl` of a trait, with `#[async_trait]`, `#[cache_config]` and a key that is made with `self`.
#[async_trait]
trait Catalog {
    async fn names(&self, ids: &[u64]) -> Result<HashMap<u64, String>, String>;
    async fn rename_all(&self, names: Vec<(u64, String)>) -> Result<Vec<u64>, String>;
}

struct Table {
    tenant: u32,
    asked: Mutex<Vec<Vec<u64>>>,
    caches: Registry,
}

#[async_trait]
#[cache_config(cache = "program-catalog", registry = self.caches)]
impl Catalog for Table {
    #[cacheable(keys = ids, key = |id| (self.tenant, id), tags = [format!("tenant:{}", self.tenant)], cache_none)]
    async fn names(&self, ids: &[u64]) -> Result<HashMap<u64, String>, String> {
        self.asked.lock().unwrap().push(ids.to_vec());
        tokio::task::yield_now().await;
        Ok(ids.iter().filter(|id| **id < 10).map(|id| (*id, format!("{} {id}", self.tenant))).collect())
    }

    #[cache_evict(keys = result.iter().map(|id| (self.tenant, *id)))]
    async fn rename_all(&self, names: Vec<(u64, String)>) -> Result<Vec<u64>, String> {
        Ok(names.into_iter().map(|(id, _)| id).collect())
    }
}

#[tokio::test]
async fn a_batch_in_a_trait_shares_what_is_cached_and_remembers_absences() {
    let [one, two] = nodes(&["program-catalog"]).await;
    let table = |caches: &Registry| Table { tenant: 3, asked: Mutex::default(), caches: caches.clone() };
    let (one, two) = (table(&one), table(&two));
    assert_eq!(one.names(&[1, 2, 99]).await.unwrap().len(), 2);
    assert_eq!(one.names(&[99, 2, 3, 3]).await.unwrap().len(), 2);
    assert_eq!(*one.asked.lock().unwrap(), vec![vec![1, 2, 99], vec![3]]);
    two.names(&[1, 2]).await.unwrap();
    one.rename_all(vec![(1, "x".to_owned())]).await.unwrap();
    let cache = two.caches.cache::<(u32, u64), String>("program-catalog").unwrap();
    eventually(DEADLINE, || cache.get((3, 1)).is_none()).await;
    assert!(cache.get((3, 2)).is_some());
    cache.evict_tag("tenant:3");
    assert!(cache.get((3, 2)).is_none());
}

// Futures that are spawned, and a plain function on a thread of its own.
struct Service {
    caches: Registry,
    calls: Calls,
}
#[cache_config(cache = "program-spawn", registry = self.caches)]
impl Service {
    #[cacheable(key = (tenant, name))]
    async fn find(self: Arc<Self>, tenant: u32, name: &str) -> Option<Arc<str>> {
        self.calls.count().await;
        Some(format!("{tenant} {name}").into())
    }
    #[cache_evict(key = (tenant, &*name))]
    async fn forget(self: &Arc<Self>, tenant: u32, name: Cow<'_, str>) {
        let _ = (tenant, name);
    }
    #[cacheable(key = (id, String::new()))]
    fn blocking(&self, id: u32) -> Arc<str> {
        format!("{id}").into()
    }
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn futures_can_be_spawned_and_share_a_load() {
    let [one, two] = nodes(&["program-spawn"]).await;
    let service = Arc::new(Service { caches: one, calls: Calls::default() });
    let other = Arc::new(Service { caches: two, calls: Calls::default() });
    let name = String::from("ada");
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (service, name) = (service.clone(), name.clone());
            tokio::spawn(async move { service.find(1, &name).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().as_deref(), Some("1 ada"));
    }
    assert_eq!(service.calls.get(), 1);
    other.clone().find(1, "ada").await;
    tokio::spawn({
        let service = service.clone();
        async move { service.forget(1, Cow::Borrowed("ada")).await }
    })
    .await
    .unwrap();
    let cache = other.caches.cache::<(u32, String), Arc<str>>("program-spawn").unwrap();
    eventually(DEADLINE, || cache.get((1, "ada")).is_none()).await;
    let blocking = tokio::task::spawn_blocking({
        let service = service.clone();
        move || (service.blocking(5), service.blocking(5))
    })
    .await
    .unwrap();
    assert!(Arc::ptr_eq(&blocking.0, &blocking.1));
}

// Functions of traits that have bodies.
#[cache_config(cache = "program-trait")]
trait Repository: Sync {
    const NAME: &'static str;
    type Value: Clone + Send + Sync + 'static;
    fn calls(&self) -> &Calls;
    fn make(&self, id: u64) -> Self::Value;
    #[cacheable(key = (Self::NAME, id))]
    fn find(&self, id: u64) -> impl Future<Output = Option<Self::Value>> + Send {
        async move {
            self.calls().count().await;
            Some(self.make(id))
        }
    }
    #[cacheable(key = (Self::NAME, id), cache_value)]
    fn find_now(&self, id: u64) -> Self::Value {
        self.make(id)
    }
    #[cache_evict(key = (Self::NAME, id))]
    fn forget(&self, id: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let _ = id;
        Box::pin(async move {
            self.calls().count().await;
        })
    }
}
struct Names(Calls);
impl Repository for Names {
    const NAME: &'static str = "names";
    type Value = String;
    fn calls(&self) -> &Calls {
        &self.0
    }
    fn make(&self, id: u64) -> String {
        format!("n{id}")
    }
}
type Failure = Box<dyn Error + Send + Sync>;

#[async_trait]
trait Defaulted: Send + Sync {
    #[cacheable(cache = "program-defaulted", key = id)]
    async fn find_default(&self, id: u64) -> Result<Option<String>, Failure> {
        self.load(id).await
    }
    async fn load(&self, id: u64) -> Result<Option<String>, Failure>;
}
#[async_trait]
impl Defaulted for Names {
    async fn load(&self, id: u64) -> Result<Option<String>, Failure> {
        self.0.count().await;
        Ok(Some(format!("{id}")))
    }
}
#[tokio::test]
async fn provided_functions_of_traits_are_cached() {
    let caches = registry(&["program-trait", "program-defaulted"]).await;
    caches
        .scope(async {
            let names = Names(Calls::default());
            for _ in 0..2 {
                assert_eq!(names.find(1).await.as_deref(), Some("n1"));
                assert_eq!(names.find_now(1), "n1");
            }
            assert_eq!(names.0.get(), 1);
            names.forget(1).await;
            names.find(1).await;
            assert_eq!(names.0.get(), 3);
            let defaulted: Box<dyn Defaulted> = Box::new(Names(Calls::default()));
            for _ in 0..2 {
                assert_eq!(defaulted.find_default(1).await.unwrap().as_deref(), Some("1"));
            }
        })
        .await;
}

// `#[cache_config]` above and below `#[async_trait]`, on a trait, for references and with lifetimes.
#[cache_config(cache = "program-config", ttl = Duration::from_secs(5))]
#[async_trait]
trait Prices: Send + Sync {
    #[cacheable(key = (kind, self.shop()), ttl = None)]
    async fn own(&self, kind: &str) -> u32 {
        self.load(kind).await
    }
    #[cacheable(key = (kind, self.shop()), ttl = if result % 2 == 0 { Some(Duration::from_secs(1)) } else { None })]
    async fn odd(&self, kind: &str) -> u32 {
        self.load(kind).await
    }
    #[cacheable(key = (kind, self.shop()))]
    async fn common(&self, kind: &str) -> u32 {
        self.load(kind).await
    }
    #[cache_put(key = (&kind, self.shop()), tags = ["d"])]
    async fn set(&self, kind: String, to: u32) -> u32
    where
        Self: Sized,
    {
        let _ = kind;
        to
    }
    #[cache_evict(tag = kind)]
    async fn clear(&self, kind: &str) {
        let _ = kind;
    }
    fn shop(&self) -> u64;
    async fn load(&self, kind: &str) -> u32;
}
struct Shop<'a>(u64, &'a Calls);
#[async_trait]
impl Prices for Shop<'_> {
    fn shop(&self) -> u64 {
        self.0
    }
    async fn load(&self, _: &str) -> u32 {
        self.1.count().await
    }
}
#[async_trait]
#[cache_config]
impl<'a, P: Prices + ?Sized> Prices for &'a P
where
    'a: 'a,
{
    fn shop(&self) -> u64 {
        (**self).shop()
    }
    #[cacheable(cache = "program-config", key = (kind, self.shop()))]
    async fn load(&self, kind: &str) -> u32 {
        (**self).load(kind).await
    }
}
struct View<'v, T: ?Sized>(&'v T, Registry);
#[cache_config(cache = "program-view", registry = &self.1)]
impl<'v, T> View<'v, T>
where
    T: Deref<Target: Debug + Sync> + Sync + ?Sized,
{
    #[cacheable(key = format!("{:?}", &**self.0))]
    async fn text<'s>(&'s self, calls: &'s Calls) -> Arc<str>
    where
        'v: 's,
    {
        calls.count().await;
        format!("{:?}", &**self.0).into()
    }
    #[cache_evict(key = format!("{:?}", &**self.0))]
    fn touch<'s>(&'s mut self) -> impl Future<Output = &'s T> + 's {
        async move { self.0 }
    }
}
#[tokio::test]
async fn a_config_reaches_every_function_of_its_block() {
    let clock = ManualClock::new();
    let caches = Registry::builder()
        .cache(CacheConfig::new("program-config").ttl(Duration::from_secs(50)))
        .cache(CacheConfig::new("program-view"))
        .unknown_caches(UnknownCaches::Bypass)
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    caches
        .scope(async {
            let calls = Calls::default();
            let shop = Shop(1, &calls);
            let dynamic: &dyn Prices = &shop;
            assert_eq!((dynamic.own("a").await, dynamic.odd("b").await, dynamic.common("c").await), (1, 2, 3));
            assert_eq!(shop.set("d".into(), 40).await, 40);
            clock.advance(Duration::from_secs(1));
            assert_eq!(
                (dynamic.own("a").await, dynamic.odd("b").await, dynamic.common("c").await, dynamic.odd("d").await),
                (1, 4, 3, 40)
            );
            clock.advance(Duration::from_secs(4));
            assert_eq!((dynamic.own("a").await, dynamic.common("c").await), (1, 5));
            assert_eq!((&dynamic).load("a").await, 1);
            dynamic.clear("d").await;
            let text = String::from("x");
            let mut view = View(&text, caches.clone());
            view.text(&calls).await;
            let n = calls.get();
            view.text(&calls).await;
            assert_eq!(calls.get(), n);
            assert_eq!(view.touch().await, "x");
            view.text(&calls).await;
            assert_eq!(calls.get(), n + 1);
        })
        .await;
}

// The registry is in a parameter that is a pattern, and that the body moves.
#[derive(Clone)]
struct App {
    caches: Registry,
    calls: Arc<Calls>,
    ttl: Duration,
}
struct State<T>(T);
struct Path<T>(T);
#[cacheable(cache = "program-app", key = (tenant, name), registry = app.caches, ttl = app_ttl(tenant))]
async fn handler(State(app): State<App>, Path((tenant, name)): Path<(u32, String)>) -> Result<Arc<str>, String> {
    let App { caches, calls, .. } = app;
    drop(caches);
    calls.count().await;
    let name: Arc<str> = name.into();
    Ok(name)
}
fn app_ttl(_: u32) -> Option<Duration> {
    None
}
#[cache_evict(cache = "program-app", key = (path.0.0, &path.0.1), registry = state.0.caches)]
async fn delete(state: State<App>, path: Path<(u32, String)>) {
    drop((state.0, path.0));
}
struct Repo {
    app: App,
}
#[cache_config(cache = "program-app", registry = &self.app.caches, ttl = self.app.ttl)]
impl Repo {
    #[cacheable(key = (0_u32, user.name))]
    async fn load(&self, user: User) -> Arc<str> {
        self.app.calls.count().await;
        user.name.into()
    }
    #[cache_put(key = (0_u32, user.name))]
    async fn save(&self, user: User) -> Arc<str> {
        user.name.into()
    }
}
struct User {
    name: String,
}
#[tokio::test]
async fn a_registry_comes_out_of_a_pattern() {
    let [one, two] = nodes(&["program-app"]).await;
    let app = App { caches: one, calls: Arc::default(), ttl: Duration::from_secs(4) };
    let path = || Path((1, "x".to_owned()));
    for _ in 0..2 {
        handler(State(app.clone()), path()).await.unwrap();
    }
    assert_eq!(app.calls.get(), 1);
    delete(State(app.clone()), path()).await;
    handler(State(app.clone()), path()).await.unwrap();
    assert_eq!(app.calls.get(), 2);
    let repo = || Repo { app: app.clone() };
    let user = || User { name: "u".into() };
    repo().load(user()).await;
    let repo2 = repo();
    repo2.save(user()).await;
    drop(repo2);
    repo().load(user()).await;
    assert_eq!(app.calls.get(), 3);
    drop(two);
}
