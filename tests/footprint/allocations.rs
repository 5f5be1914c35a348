//! A hit allocates nothing, whatever the key is made of; a miss makes the key once, and allocates little else.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use allocation_counter::measure;
use cachesync::{CacheConfig, Registry, Transaction, UnknownCaches, cacheable, memory::MemoryBackend};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use crate::registry;

/// How often `call` allocates; it has to be ready at its first poll.
fn allocations<F: Future>(call: impl FnOnce() -> F) -> u64 {
    let mut ready = false;
    let counted = measure(|| ready = call().now_or_never().is_some());
    assert!(ready, "a hit does not wait");
    counted.count_total
}

#[cacheable(cache = "number")]
async fn number(id: u64) -> Option<Arc<str>> {
    Some(id.to_string().into())
}

#[cacheable(cache = "text", key = name)]
async fn text(name: &str) -> Option<Arc<str>> {
    Some(name.into())
}

#[cacheable(cache = "pair", key = (tenant, name))]
async fn pair(tenant: u32, name: &str) -> Result<Arc<str>, String> {
    Ok(format!("{tenant} {name}").into())
}

#[cacheable(cache = "maybe", key = name)]
async fn maybe(name: Option<&str>) -> Option<Arc<str>> {
    Some(name.unwrap_or_default().into())
}

#[cacheable(cache = "nested", key = (name, (tenant, list)))]
async fn nested(tenant: &u32, name: Option<&String>, list: &[u8]) -> Option<usize> {
    Some(name.map_or(0, String::len) + list.len() + *tenant as usize)
}

#[cacheable(cache = "eight", key = (a, a, a, a, a, a, a, a))]
async fn eight(a: &str) -> Option<usize> {
    Some(a.len())
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Name {
    first: String,
    last: String,
}

#[cacheable(cache = "own", key = name)]
async fn own(name: &Name) -> Option<usize> {
    Some(name.first.len() + name.last.len())
}

#[cacheable(cache = "plain", key = name)]
fn plain(name: &str) -> Option<Arc<str>> {
    Some(name.into())
}

#[cacheable(cache = "conditional", key = name, condition = !name.is_empty(), unless = result.is_empty(), tags = [name])]
async fn conditional(name: &str) -> Option<Arc<str>> {
    Some(name.into())
}

struct Repository {
    tenant: u32,
    caches: Registry,
}

impl Repository {
    #[cacheable(cache = "method", key = (self.tenant, name), registry = self.caches)]
    async fn find(&self, name: &str) -> Option<Arc<str>> {
        Some(name.into())
    }
}

#[tokio::test]
async fn a_hit_allocates_nothing() {
    let caches = ["number", "text", "pair", "maybe", "nested", "eight", "own", "plain", "conditional", "method"];
    let caches = registry(&caches).await;
    let name = Name { first: "Ada".into(), last: "Lovelace".into() };
    let text_of_own = String::from("own");
    let repository = Repository { tenant: 7, caches: caches.clone() };
    let work = async {
        // The first round fills, the second remembers what a thread keeps for itself, the third is counted.
        for counted in [false, false, true] {
            let all = [
                ("a number", allocations(|| number(7))),
                ("`&str` for `String`", allocations(|| text("Ada"))),
                ("a tuple", allocations(|| pair(7, "Ada"))),
                ("an `Option`", allocations(|| maybe(Some("Ada")))),
                ("tuples in each other", allocations(|| nested(&7, Some(&text_of_own), b"abc"))),
                ("eight parts", allocations(|| eight("Ada"))),
                ("a type of one's own", allocations(|| own(&name))),
                ("a plain function", measure(|| _ = plain("Ada")).count_total),
                ("a condition", allocations(|| conditional("Ada"))),
                ("a method", allocations(|| repository.find("Ada"))),
            ];
            if counted {
                for (what, allocations) in all {
                    assert_eq!(allocations, 0, "{what}");
                }
            }
        }
    };
    caches.scope(work).await;
    let stats = caches.stats();
    assert!(stats.caches.values().all(|cache| cache.hits == 2 && cache.loads == 1), "{stats:?}");
}

/// Not one for each key: neither where it is evicted, nor on the way, nor where it is applied.
#[test]
fn a_thousand_evictions_take_some_allocations_on_two_nodes_together() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is memory");
    let hub = MemoryBackend::new();
    let node = || {
        let node = Registry::builder().namespace("shop").unknown_caches(UnknownCaches::Bypass);
        let node = node.cache(CacheConfig::new("users").capacity(20_000)).backend(hub.clone());
        runtime.block_on(node.start()).expect("the hub is there")
    };
    let nodes = [node(), node()];
    let [users, theirs] = nodes.each_ref().map(|node| node.cache::<(u32, u64), u64>("users").expect("declared"));
    let mut took: Vec<_> = (0..9u32)
        .map(|round| {
            let keys = || (0..1_000).map(|key| (round, key));
            for key in keys() {
                users.reserve(key).fill(1);
                theirs.reserve(key).fill(1);
            }
            let transaction = Transaction::begin();
            runtime.block_on(transaction.scope(async { users.evict_many(keys()) }));
            let applied = theirs.stats().evicted_by_others + 1_000;
            let work = async {
                transaction.commit().confirmed().await.expect("the hub takes them");
                while theirs.stats().evicted_by_others < applied {
                    tokio::task::yield_now().await;
                }
            };
            let counted = measure(|| runtime.block_on(work));
            assert!(users.is_empty() && theirs.is_empty());
            counted.count_total
        })
        .collect();
    // Now and then a heartbeat is among them.
    took.sort_unstable();
    assert!(took[took.len() / 2] < 200, "{took:?}");
}

/// A key that counts its clones.
#[derive(PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Counted(u64);

static CLONES: AtomicUsize = AtomicUsize::new(0);

impl Clone for Counted {
    fn clone(&self) -> Self {
        CLONES.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

#[cacheable(cache = "counted", key = id)]
async fn counted(id: &Counted) -> Option<u64> {
    Some(id.0)
}

#[tokio::test]
async fn a_miss_makes_the_owned_key_once() {
    let work = async {
        // With its first key a cache finds out whether the key's type survives serde.
        counted(&Counted(0)).await;
        CLONES.store(0, Ordering::Relaxed);
        counted(&Counted(1)).await;
        assert_eq!(CLONES.load(Ordering::Relaxed), 1);
        counted(&Counted(1)).await;
        assert_eq!(CLONES.load(Ordering::Relaxed), 1, "and a hit makes none");
    };
    registry(&["counted"]).await.scope(work).await;
}

#[cacheable(cache = "loaded", key = id)]
async fn loaded(id: u64) -> Option<u64> {
    Some(id)
}

#[tokio::test]
async fn a_miss_that_nobody_waits_for_allocates_nothing_but_room_for_its_entry() {
    let work = async {
        // Every part of the cache has been used once.
        for id in 0..2_000 {
            loaded(id).await;
        }
        let allocations: u64 = (2_000..4_000).map(|id| allocations(|| loaded(id))).sum();
        assert!(allocations < 50, "{allocations}: tables grow by doubling");
    };
    let caches = registry(&["loaded"]).await;
    caches.scope(work).await;
    assert_eq!(caches.stats().caches["loaded"].loads, 4_000);
}
