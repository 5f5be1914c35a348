//! Caches that are declared with their types: which registry they use, and whether functions agree.

use cachesync::{
    CacheConfig, ManualClock, Registry, Transaction, TypedCache, UnknownCaches, cacheable, memory::MemoryBackend,
};
use cachesync_core::codec;
use cachesync_tests::{
    faulty::FaultyBackend,
    gate::Gate,
    wait::{eventually, within},
};

use crate::{
    logged::times_logged,
    nodes::{DEADLINE, another, only},
};

cachesync::cache! {
    /// By hand.
    pub(crate) PAGES: "typed-pages" => (u64, String);
    TUPLES: "typed-tuples" => ((u32, String), u64,);
    // `wrong_key` and `wrong_value` name these by text, and mean others.
    WRONG_KEYS: "typed-wrong-keys" => (u64, String);
    #[allow(dead_code, reason = "attributes belong to the static")]
    WRONG_VALUES: "typed-wrong-values" => (u64, String);
    #[cfg(any())]
    NOT_THERE: "typed pages" => (NotThere, String)
}

/// Not known to `start`.
static BY_HAND: TypedCache<String, u64> = TypedCache::new("typed-pages");

#[cacheable(cache = "typed-wrong-keys")]
async fn wrong_key(id: u32) -> String {
    id.to_string()
}

#[cacheable(cache = "typed-wrong-values")]
async fn wrong_value(id: u64) -> u64 {
    id
}

async fn pages() -> Registry {
    only(PAGES.config()).await
}

#[tokio::test]
async fn a_typed_cache_does_what_a_cache_does_in_the_registry_of_the_scope() {
    let registry = pages().await;
    registry
        .scope(async {
            assert_eq!(PAGES.get(&1), None);
            assert_eq!(PAGES.get_with(1, async || "one".to_owned()).await, "one");
            assert_eq!(PAGES.get_with(1, async || "not loaded".to_owned()).await, "one");
            assert_eq!(PAGES.try_get_with(2, async || Err::<String, _>("failed")).await, Err("failed"));
            assert_eq!(PAGES.try_get_with(2, async || Ok::<_, ()>("two".to_owned())).await.as_deref(), Ok("two"));
            PAGES.insert(3, "three".into());
            assert_eq!(PAGES.get(&3).as_deref(), Some("three"));
            PAGES.evict(&3);
            assert_eq!(PAGES.get(&3), None);
            PAGES.evict_many([1, 2]);
            assert_eq!(PAGES.of(&registry).unwrap().len(), 0);
            PAGES.insert(4, "four".into());
            PAGES.evict_all();
            assert_eq!(PAGES.get(&4), None);
            PAGES.evict_tag("team:5");
        })
        .await;
    assert_eq!(PAGES.of(&registry).unwrap().stats().evicted, 7, "two puts, and by key, keys, all and tag");
    assert_eq!((PAGES.name(), PAGES.config()), ("typed-pages", CacheConfig::new("typed-pages")));
}

#[tokio::test]
async fn a_typed_cache_is_looked_up_by_borrowed_forms() {
    let registry = only(TUPLES.config()).await;
    registry
        .scope(async {
            TUPLES.insert((7, "ada".into()), 1);
            assert_eq!(TUPLES.get((7, "ada")), Some(1));
            TUPLES.evict((7, "ada"));
            assert_eq!(TUPLES.get(&(7, "ada".into())), None);
        })
        .await;
}

#[tokio::test]
async fn the_innermost_registry_counts_at_every_call() {
    let (one, two) = (pages().await, pages().await);
    let put = |value: &'static str| async move { PAGES.insert(1, value.into()) };
    one.scope(put("one")).await;
    two.scope(put("two")).await;
    for (registry, value) in [(&one, "one"), (&two, "two"), (&one, "one")] {
        registry.scope(async { assert_eq!(PAGES.get(&1).as_deref(), Some(value)) }).await;
    }
    let inner = async {
        assert_eq!(PAGES.get(&1).as_deref(), Some("two"));
        PAGES.evict_all();
    };
    one.scope(two.scope(inner)).await;
    assert_eq!(PAGES.of(&one).unwrap().get(&1).as_deref(), Some("one"));
    assert_eq!(PAGES.of(&two).unwrap().get(&1), None);
}

#[tokio::test]
async fn a_typed_cache_keeps_to_the_transaction_of_its_caller() {
    let registry = pages().await;
    let test = async {
        PAGES.insert(1, "old".into());
        let transaction = Transaction::begin();
        let write = async {
            PAGES.evict(&1);
            PAGES.insert(2, "new".into());
            assert_eq!(PAGES.get(&1), None, "it reads its own writes");
            assert_eq!(PAGES.get_with(1, async || "uncommitted".to_owned()).await, "uncommitted");
        };
        transaction.scope(write).await;
        assert_eq!(PAGES.get(&1).as_deref(), Some("old"));
        assert_eq!(PAGES.get(&2), None);
        transaction.commit();
        assert_eq!(PAGES.get(&1), None);
        assert_eq!(PAGES.get(&2).as_deref(), Some("new"));
    };
    registry.scope(test).await;
}

#[tokio::test]
async fn without_its_cache_nothing_is_found_or_kept_and_loaders_run() {
    let ended = pages().await;
    ended.scope(async { PAGES.insert(1, "old".into()) }).await;
    ended.shutdown().await.unwrap();
    let other = only(CacheConfig::new("typed-other")).await;
    let goes_without = || async {
        PAGES.insert(1, "not kept".into());
        assert_eq!(PAGES.get(&1), None);
        for value in ["one", "two"] {
            assert_eq!(PAGES.get_with(1, async || value.to_owned()).await, value);
            assert_eq!(PAGES.try_get_with(1, async || Ok::<_, ()>(value.to_owned())).await.as_deref(), Ok(value));
        }
        PAGES.evict(&1);
        PAGES.evict_many([&1]);
        PAGES.evict_all();
        PAGES.evict_tag("a");
    };
    goes_without().await;
    ended.scope(goes_without()).await;
    other.scope(goes_without()).await;
    assert!(PAGES.of(&other).unwrap_err().is_unknown_cache());
    assert_eq!(ended.status().problems, Vec::<String>::new());
}

#[test]
fn a_typed_cache_that_goes_without_says_so_once() {
    static QUIET: TypedCache<u64, u64> = TypedCache::new("typed-quiet");

    let warnings = times_logged("`typed-quiet` goes without", || {
        for _ in 0..3 {
            assert_eq!(QUIET.get(&1), None);
            QUIET.evict(&1);
            QUIET.insert(1, 1);
        }
    });
    assert_eq!(warnings, 1);
}

#[tokio::test]
async fn evictions_of_a_cache_that_is_not_here_are_broadcast() {
    let hub = MemoryBackend::new();
    let backend = FaultyBackend::new(&hub);
    let here = another(CacheConfig::new("typed-other"), backend.clone()).await;
    let there = another(PAGES.config(), hub).await;
    let pages = PAGES.of(&there).unwrap();
    let evict = async {
        PAGES.evict(&1);
        PAGES.insert(2, "not kept here".into());
        PAGES.evict_tag("a");
    };
    here.scope(evict).await;
    eventually(DEADLINE, || pages.stats().evicted_by_others == 3).await;
    here.scope(async { PAGES.evict_all() }).await;
    eventually(DEADLINE, || pages.stats().evicted_by_others == 4).await;
    let of_pages = |body: &[u8]| codec::decode(body).unwrap().cache.is_some_and(|cache| cache.as_str() == PAGES.name());
    assert!(backend.published().iter().any(|message| of_pages(&message.body)));
}

#[tokio::test]
async fn a_static_does_not_keep_a_registry_running() {
    // Nobody else makes it remember another registry.
    static LONELY: TypedCache<u64, String> = TypedCache::new("typed-lonely");

    let hub = MemoryBackend::new();
    let backend = FaultyBackend::new(&hub);
    let registry = another(LONELY.config(), backend.clone()).await;
    let gate = Gate::new();
    backend.stop_goodbyes_at(&gate);
    registry.scope(async { LONELY.insert(1, "remembered".into()) }).await;
    drop(registry);
    // The engine says goodbye to the backend.
    within(DEADLINE, gate.reached_by(1)).await;
    gate.let_through(1);
}

#[tokio::test]
async fn types_that_disagree_at_the_first_use_go_without_and_evict_all() {
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .cache(PAGES.config())
        .unknown_caches(UnknownCaches::Bypass)
        .clock(clock)
        .start()
        .await
        .expect("a declaration by hand is not known to it");
    let test = async {
        PAGES.insert(1, "one".into());
        assert_eq!(BY_HAND.get("1"), None);
        BY_HAND.insert("1".into(), 1);
        assert_eq!(BY_HAND.get("1"), None);
        assert_eq!(PAGES.get(&1), None, "which entry was meant cannot be known");
    };
    registry.scope(test).await;
    let problems = registry.status().problems;
    assert!(problems.iter().any(|problem| problem.contains("as the typed cache asks")), "{problems:#?}");
    assert!(BY_HAND.of(&registry).unwrap_err().is_type_mismatch());
}

#[tokio::test]
async fn a_start_reports_functions_that_disagree_with_a_declaration() {
    let start = || {
        let builder = Registry::builder().cache(WRONG_KEYS.config()).cache(CacheConfig::new("typed-wrong-values"));
        builder.unknown_caches(UnknownCaches::Bypass).start()
    };
    let error = start().await.unwrap_err();
    assert!(error.is_type_mismatch(), "{error}");
    let text = error.to_string();
    for part in [
        "cache `typed-wrong-keys` has keys of type `u32`, not `u64` as `integration::typed::WRONG_KEYS` (",
        "the type was settled by `integration::typed::wrong_key` (",
        "cache `typed-wrong-values` has values of type `u64`, not `alloc::string::String` as \
         `integration::typed::WRONG_VALUES` (",
        "typed.rs:",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // A registry that does not have these caches has no quarrel with their declarations.
    pages().await;
    assert_eq!((wrong_key(1).await, wrong_value(1).await), ("1".into(), 1));
}

#[tokio::test]
async fn a_description_shows_where_a_cache_is_declared() {
    let registry = pages().await;
    let description = registry.describe();
    let declarations = &description.caches[0].declarations;
    assert_eq!(declarations.len(), 1, "{declarations:?}");
    assert_eq!(declarations[0].name, "integration::typed::PAGES");
    let text = description.to_string();
    assert!(text.contains("typed  integration::typed::PAGES  ") && text.contains("typed.rs:"), "{text}");
}
