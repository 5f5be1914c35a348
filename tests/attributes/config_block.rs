//! `#[cache_config]`: what the functions of a block have in common.

use std::{collections::HashMap, time::Duration};

use cachesync::{
    CacheConfig, ManualClock, Registry, Transaction, UnknownCaches, Value, cache_config, cache_evict, cache_put,
    cacheable,
};

use crate::{
    Calls,
    nodes::{cache, registry, stats},
};

struct Users {
    registry: Registry,
    calls: Calls,
    lifetime: Duration,
}

#[cache_config(cache = "config", registry = self.registry, ttl = self.lifetime)]
impl Users {
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Result<u64, String> {
        self.calls.count().await;
        Ok(id)
    }

    #[cacheable(keys = ids)]
    async fn find_many(&self, ids: &[u64]) -> HashMap<u64, u64> {
        self.calls.count().await;
        ids.iter().map(|id| (*id, 2 * id)).collect()
    }

    #[cacheable(key = id, ttl = Duration::from_secs(50))]
    async fn find_for_long(&self, id: u64) -> u64 {
        id
    }

    #[cacheable(cache = "config-other", key = id)]
    async fn find_other(&self, id: u64) -> u64 {
        id
    }

    #[cacheable(key = id, registry = other)]
    async fn find_elsewhere(&self, other: &Registry, id: u64) -> u64 {
        id
    }

    #[cache_put(key = id)]
    async fn put(&self, id: u64, value: u64) -> u64 {
        value
    }

    #[cache_evict(key = id)]
    async fn save(&self, id: u64) {}

    fn not_annotated(&self) -> u32 {
        self.calls.get()
    }
}

async fn users() -> (Users, ManualClock) {
    let clock = ManualClock::new();
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).clock(clock.clone());
    let builder = builder.cache(CacheConfig::new("config")).cache(CacheConfig::new("config-other"));
    let registry = builder.start().await.expect("starts");
    (Users { registry, calls: Calls::default(), lifetime: Duration::from_secs(10) }, clock)
}

#[tokio::test]
async fn the_functions_of_a_block_have_its_cache_and_registry() {
    let (users, _clock) = users().await;
    for _ in 0..2 {
        assert_eq!(users.find(1).await, Ok(1));
    }
    assert_eq!(users.find_many(&[1, 2]).await, HashMap::from([(1, 1), (2, 4)]));
    assert_eq!(users.not_annotated(), 2);
    users.put(1, 7).await;
    assert_eq!(users.find(1).await, Ok(7));
    users.save(1).await;
    assert_eq!(users.find(1).await, Ok(1));
    assert_eq!(users.not_annotated(), 3);
}

#[tokio::test]
async fn what_a_function_says_itself_wins() {
    let (users, _clock) = users().await;
    let other = registry(&["config"]).await;
    users.find_other(1).await;
    users.find_elsewhere(&other, 2).await;
    let entries = |registry, name| stats(registry, name).entries;
    assert_eq!((entries(&users.registry, "config"), entries(&users.registry, "config-other")), (0, 1));
    assert_eq!(cache::<u64, u64>(&other, "config").get(&2), Some(2));
}

#[tokio::test]
async fn the_ttl_of_a_block_is_that_of_all_that_its_functions_keep() {
    let (users, clock) = users().await;
    let numbers = cache::<u64, u64>(&users.registry, "config");
    users.find(1).await.expect("Ok");
    users.find_many(&[2]).await;
    users.put(3, 3).await;
    users.find_for_long(4).await;
    for (advance, held) in [(9, [true; 4]), (1, [false, false, false, true]), (40, [false; 4])] {
        clock.advance(Duration::from_secs(advance));
        assert_eq!([1, 2, 3, 4].map(|key| numbers.get(&key).is_some()), held);
    }
}

struct Unit<'a> {
    transaction: &'a Transaction,
}

#[cache_config(cache = ["config-a", "config-b"], transaction = self.transaction, requires_transaction)]
impl Unit<'_> {
    #[cache_evict(key = id)]
    async fn save(&self, id: u64) {}

    #[cache_put(cache = "config-b", key = id)]
    async fn put(&self, id: u64) -> u64 {
        id
    }
}

#[tokio::test]
async fn a_block_can_name_a_list_and_a_transaction() {
    let registry = registry(&["config-a", "config-b"]).await;
    let numbers = ["config-a", "config-b"].map(|name| cache::<u64, u64>(&registry, name));
    for numbers in &numbers {
        numbers.insert(1, 1);
    }
    let transaction = Transaction::begin();
    let unit = Unit { transaction: &transaction };
    registry.scope(async { unit.save(1).await }).await;
    registry.scope(async { unit.put(2).await }).await;
    let held = || [0, 1].map(|index| [1, 2].map(|key| numbers[index].get(&key)));
    assert_eq!(held(), [[Some(1), None]; 2]);
    transaction.commit();
    assert_eq!(held(), [[None, None], [None, Some(2)]]);
}

/// What is hidden in a generic impl is known with the block: its parameters, and its `Self`.
struct Store<T, const N: usize>(Calls, [T; N]);

#[cache_config(cache = "config-generic")]
impl<T: Value + Default + PartialEq, const N: usize> Store<T, N> {
    #[cacheable(key = id)]
    async fn first(&self, id: u64) -> Option<Vec<T>> {
        self.0.count().await;
        Some(self.1.iter().take(usize::try_from(id).expect("small")).cloned().collect())
    }

    #[cache_evict(key = id)]
    async fn save(&mut self, id: u64) -> Result<&mut Self, String> {
        self.1.fill_with(T::default);
        Ok(self)
    }

    #[cacheable(cache = "config-constant", key = (id, N))]
    async fn repeated(&self, id: u64) -> u64 {
        u64::from(self.0.count().await) + id
    }
}

#[tokio::test]
async fn a_block_can_be_generic() {
    let registry = registry(&["config-generic", "config-constant"]).await;
    let mut store = Store(Calls::default(), ['a', 'b']);
    let work = async {
        for _ in 0..2 {
            assert_eq!(store.first(1).await, Some(vec!['a']));
            assert_eq!(store.repeated(5).await, 7);
        }
        store.save(1).await.expect("Ok").save(2).await.expect("Ok");
        assert_eq!(store.first(1).await, Some(vec!['\0']));
    };
    registry.scope(work).await;
    assert_eq!(store.0.get(), 3);
}

#[derive(Clone, Debug, PartialEq)]
struct Point(u64);

trait Origin {
    async fn moved(by: u64) -> Self;
}

#[cache_config(cache = "config-self")]
impl Origin for Point {
    #[cacheable(key = by)]
    async fn moved(by: u64) -> Self {
        Self(by)
    }
}

#[cache_config(cache = "config-trait")]
trait Provided {
    fn calls(&self) -> &Calls;

    #[cacheable(key = id)]
    async fn provided(&self, id: u64) -> u64 {
        id + u64::from(self.calls().count().await)
    }
}

impl Provided for Calls {
    fn calls(&self) -> &Calls {
        self
    }
}

#[tokio::test]
async fn the_self_type_of_a_block_is_known_at_the_start_and_a_trait_can_have_one_too() {
    let registry = registry(&["config-self", "config-trait"]).await;
    let caches = registry.describe().caches;
    let described = caches.iter().find(|cache| cache.name == "config-self").expect("configured");
    assert!(described.value.as_deref().is_some_and(|name| name.ends_with("config_block::Point")), "{described:?}");
    let calls = Calls::default();
    let work = async {
        assert_eq!(Point::moved(1).await, Point(1));
        for _ in 0..2 {
            assert_eq!(calls.provided(1).await, 2);
        }
    };
    registry.scope(work).await;
    assert_eq!(cache::<u64, Point>(&registry, "config-self").get(&1), Some(Point(1)));
}
