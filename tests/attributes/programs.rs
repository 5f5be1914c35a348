//! Programs in which many of the attributes' parts meet, as they do in services.

use std::{
    borrow::Cow,
    collections::HashMap,
    error::Error,
    fmt::Debug,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use cachesync::{
    CacheConfig, Key, ManualClock, Registry, Transaction, UnknownCaches, cache_config, cache_evict, cache_put,
    cacheable, memory::MemoryBackend,
};
use cachesync_tests::wait::{DEADLINE, eventually};

use crate::{Calls, registry};

/// Two nodes with caches of these names.
async fn nodes(caches: &[&str]) -> [Registry; 2] {
    let hub = MemoryBackend::new();
    let start = async || {
        let builder = Registry::builder().namespace("programs").backend(hub.clone());
        let builder = builder.unknown_caches(UnknownCaches::Bypass);
        let builder = caches.iter().fold(builder, |builder, name| builder.cache(CacheConfig::new(*name)));
        builder.start().await.expect("the functions agree about their caches")
    };
    [start().await, start().await]
}

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
