//! R1 for tags: a load that began before its tag was evicted leaves nothing behind, and nobody joins it.

use std::{
    cell::RefCell,
    future::{pending, ready},
    hash::{Hash, Hasher},
    task::Poll,
};

use cachesync::{Cache, Registry, cache_evict, cacheable};
use cachesync_tests::{
    gate::Gate,
    wait::{DEADLINE, within},
};
use futures_util::poll;
use serde::{Deserialize, Serialize};

use crate::nodes::{Node, SETTLE, begun, behind, cache, clocked, end, pair, registry};

type Answer = Result<u64, String>;

/// The tag is that of the value.
#[cacheable(cache = "tag-race", key = id, tags = [format!("value:{result}")], registry = registry)]
async fn load(registry: &Registry, id: u64, body: impl Future<Output = Answer>) -> Answer {
    _ = id;
    body.await
}

#[cacheable(cache = "tag-race", key = id, registry = registry)]
async fn load_untagged(registry: &Registry, id: u64, body: impl Future<Output = Answer>) -> Answer {
    _ = id;
    body.await
}

#[cache_evict(cache = "tag-race", tag = format_args!("value:{value}"), registry = registry)]
async fn evict_value(registry: &Registry, value: u64, body: impl Future<Output = ()>) {
    body.await;
}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "tag-race")
}

async fn overtaken_by(evict: impl AsyncFnOnce(&Node, &Node)) {
    let (here, there) = pair(&["tag-race"]).await;
    let gate = Gate::new();
    let loading = begun(load(&here.registry, 1, behind(&gate, Ok(11)))).await;
    evict(&here, &there).await;
    assert_eq!(end(&gate, loading).await, Ok(11), "the caller began before the eviction");
    assert_eq!(numbers(&here.registry).get(&1), None, "but nobody after it finds the value");
    load(&here.registry, 1, ready(Ok(11))).await.expect("Ok");
    assert_eq!(numbers(&here.registry).get(&1), Some(11), "and a load that began after it is kept");
}

#[tokio::test]
async fn a_load_overtaken_by_a_local_eviction_of_a_tag_is_not_kept() {
    overtaken_by(async |here, _| evict_value(&here.registry, 11, ready(())).await).await;
}

#[tokio::test]
async fn a_load_overtaken_by_a_remote_eviction_of_a_tag_is_not_kept() {
    overtaken_by(async |here, there| {
        evict_value(&there.registry, 11, ready(())).await;
        here.hears("tag-race", 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_load_overtaken_by_an_eviction_of_several_tags_is_not_kept() {
    overtaken_by(async |here, _| numbers(&here.registry).evict_tags(["none", "value:11", "other"])).await;
}

#[tokio::test]
async fn a_load_overtaken_by_the_eviction_of_a_key_or_all_is_not_kept_either() {
    overtaken_by(async |here, _| numbers(&here.registry).evict(&1)).await;
    overtaken_by(async |here, _| numbers(&here.registry).evict_all()).await;
}

#[tokio::test]
async fn a_load_that_carries_other_tags_is_kept() {
    let registry = registry(&["tag-race"]).await;
    let gate = Gate::new();
    let loading = begun(load(&registry, 1, behind(&gate, Ok(11)))).await;
    evict_value(&registry, 21, ready(())).await;
    end(&gate, loading).await.expect("Ok");
    assert_eq!(numbers(&registry).get(&1), Some(11));
}

#[tokio::test]
async fn nobody_joins_a_load_that_a_tag_may_have_overtaken() {
    let (here, there) = pair(&["tag-race"]).await;
    for remote in [false, true] {
        let registry = &here.registry;
        numbers(registry).evict(&1);
        let gates = [Gate::new(), Gate::new()];
        let old = begun(load(registry, 1, behind(&gates[0], Ok(11)))).await;
        let joined = begun(load(registry, 1, pending())).await;
        if remote {
            evict_value(&there.registry, 99, ready(())).await;
            here.hears("tag-race", 1).await;
        } else {
            evict_value(registry, 99, ready(())).await;
        }
        // Which tags the load will carry is not known, so whoever comes now does not wait for it.
        let new = begun(load(registry, 1, behind(&gates[1], Ok(21)))).await;
        let joined_new = begun(load(registry, 1, pending())).await;
        assert_eq!(end(&gates[1], new).await, Ok(21));
        assert_eq!(within(DEADLINE, joined_new).await, Ok(21), "but shares the load that began after the eviction");
        assert_eq!(end(&gates[0], old).await, Ok(11));
        assert_eq!(within(DEADLINE, joined).await, Ok(11), "who came before the eviction may have the old value");
    }
}

#[tokio::test]
async fn a_load_that_was_not_joined_any_more_does_not_replace_an_entry_whose_tag_it_would_have_had() {
    let registry = registry(&["tag-race"]).await;
    let gate = Gate::new();
    let old = begun(load(&registry, 1, behind(&gate, Ok(11)))).await;
    evict_value(&registry, 11, ready(())).await;
    assert_eq!(load(&registry, 1, ready(Ok(21))).await, Ok(21));
    end(&gate, old).await.expect("Ok");
    assert_ne!(numbers(&registry).get(&1), Some(11));
}

#[tokio::test]
async fn loads_that_can_carry_no_tag_are_joined_all_the_same() {
    let registry = registry(&["tag-race"]).await;
    let gate = Gate::new();
    let leading = begun(load_untagged(&registry, 1, behind(&gate, Ok(11)))).await;
    evict_value(&registry, 11, ready(())).await;
    let mut joining = begun(load_untagged(&registry, 1, pending())).await;
    end(&gate, leading).await.expect("Ok");
    assert!(poll!(joining.as_mut()).is_ready());
    assert_eq!(numbers(&registry).get(&1), Some(11));
}

#[tokio::test]
async fn an_eviction_by_tag_that_is_cancelled_keeps_out_what_may_carry_it() {
    let (registry, clock) = clocked(&["tag-race"]).await;
    load(&registry, 1, ready(Ok(11))).await.expect("Ok");
    load(&registry, 2, ready(Ok(22))).await.expect("Ok");
    drop(begun(evict_value(&registry, 11, pending())).await);
    let held = || [1, 2].map(|key| numbers(&registry).get(&key));
    assert_eq!(held(), [None, Some(22)]);
    load(&registry, 1, ready(Ok(11))).await.expect("Ok");
    assert_eq!(held(), [None, Some(22)]);
    clock.advance(SETTLE);
    load(&registry, 1, ready(Ok(11))).await.expect("Ok");
    assert_eq!(held(), [Some(11), Some(22)]);
}

#[tokio::test]
async fn a_load_in_flight_when_its_tag_is_held_is_not_kept() {
    let (registry, clock) = clocked(&["tag-race"]).await;
    let gate = Gate::new();
    let loading = begun(load(&registry, 1, behind(&gate, Ok(11)))).await;
    drop(begun(evict_value(&registry, 11, pending())).await);
    clock.advance(SETTLE);
    end(&gate, loading).await.expect("Ok");
    assert_eq!(numbers(&registry).get(&1), None, "it began before the eviction");
}

/// Nor does it keep others from joining that load, who load by the function that can carry no tag.
#[tokio::test]
async fn while_a_tag_is_held_who_may_carry_it_does_not_join_a_load_that_cannot() {
    let (here, _there) = pair(&["tag-race"]).await;
    let gate = Gate::new();
    let untagged = begun(load_untagged(&here.registry, 1, behind(&gate, Ok(11)))).await;
    drop(begun(evict_value(&here.registry, 11, pending())).await);
    let mut tagged = Box::pin(load(&here.registry, 1, ready(Ok(21))));
    assert_eq!(poll!(tagged.as_mut()), Poll::Ready(Ok(21)), "what the other has read may be older than the eviction");
    let joining = begun(load_untagged(&here.registry, 1, pending())).await;
    end(&gate, untagged).await.expect("Ok");
    assert_eq!(within(DEADLINE, joining).await, Ok(11));
}

/// What is displaced or expired takes its tags along: an eviction by one of them does not touch what came in its place.
#[tokio::test]
async fn the_tags_of_a_displaced_entry_are_not_those_of_its_successor() {
    let config = cachesync::CacheConfig::new("tag-race").capacity(4);
    let builder = Registry::builder().unknown_caches(cachesync::UnknownCaches::Bypass).cache(config);
    let registry = builder.start().await.expect("starts");
    for key in 0..100 {
        load(&registry, key, ready(Ok(11))).await.expect("Ok");
    }
    for key in 0..100 {
        load_untagged(&registry, key, ready(Ok(1))).await.expect("Ok");
    }
    let untagged = (0..100).filter(|key| numbers(&registry).get(key) == Some(1)).count();
    evict_value(&registry, 11, ready(())).await;
    assert_eq!((0..100).filter(|key| numbers(&registry).get(key).is_some()).count(), untagged);
    assert!(untagged > 0);
}

/// Nor does an eviction by one of them overtake a load of the key that began after they had left.
#[tokio::test]
async fn the_tags_of_what_has_left_are_forgotten() {
    for displaced in [true, false] {
        let config = cachesync::CacheConfig::new("tag-race").capacity(4);
        let builder = Registry::builder().unknown_caches(cachesync::UnknownCaches::Bypass).cache(config);
        let registry = builder.start().await.expect("starts");
        for key in 0..100 {
            load(&registry, key, ready(Ok(11))).await.expect("Ok");
        }
        if !displaced {
            numbers(&registry).evict_all();
        }
        let absent = (0..100).find(|key| numbers(&registry).get(key).is_none()).expect("there is no room for all");
        let gate = Gate::new();
        let loading = begun(load_untagged(&registry, absent, behind(&gate, Ok(1)))).await;
        evict_value(&registry, 11, ready(())).await;
        end(&gate, loading).await.expect("Ok");
        assert_eq!(numbers(&registry).get(&absent), Some(1), "displaced: {displaced}");
    }
}

/// A key that lets others come in between where it is hashed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Watched(u64);

type Action = Box<dyn FnOnce()>;

thread_local! {
    /// How many more hashes nothing happens before, and what happens then.
    static BEFORE_HASH: RefCell<Option<(u32, Action)>> = const { RefCell::new(None) };
}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Taken out before it runs, since it comes by here.
        match BEFORE_HASH.take() {
            Some((0, action)) => action(),
            Some((more, action)) => BEFORE_HASH.set(Some((more - 1, action))),
            None => {}
        }
        self.0.hash(state);
    }
}

#[cacheable(cache = "tag-race-watched", key = Watched(id), tags = ["a"], registry = registry)]
fn load_watched(registry: &Registry, id: u64, value: u64) -> u64 {
    _ = id;
    value
}

/// The interleaving: an eviction of all has taken the entry out, and is about to forget its tags, when another caller loads the
/// key again. The tags that are there then are those of the new entry, and an eviction by one of them must find it.
#[tokio::test]
async fn a_key_that_is_loaded_again_before_its_tags_are_forgotten_is_found_by_its_new_ones() {
    let registry = registry(&["tag-race-watched"]).await;
    let numbers: Cache<Watched, u64> = cache(&registry, "tag-race-watched");
    load_watched(&registry, 1, 11);
    let theirs = registry.clone();
    // It is hashed once to be taken out, and then to be forgotten.
    BEFORE_HASH.set(Some((1, Box::new(move || _ = load_watched(&theirs, 1, 21)))));
    numbers.evict_all();
    assert_eq!(numbers.get(&Watched(1)), Some(21), "loaded again after it was taken out");
    numbers.evict_tag("a");
    assert_eq!(numbers.get(&Watched(1)), None);
}
