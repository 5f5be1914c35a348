//! Caches that are declared with their types, by hand and in attributes.

use std::{convert::Infallible, time::Duration};

use cachesync::{CacheConfig, ManualClock, Registry, Transaction, UnknownCaches, cache_evict, cache_put, cacheable};

use crate::{
    Calls,
    nodes::{pair, registry, stats},
};

/// The declarations of an application, in a module of their own.
mod caches {
    cachesync::cache! {
        /// Users by id.
        pub(crate) USERS: "typed-users" => (u64, String);
        /// Ids by tenant and name.
        pub(crate) NAMES: "typed-names" => ((u32, String), u64);
        pub(super) MIRROR: "typed-mirror" => (u64, String);
    }
}

use caches::{MIRROR, NAMES, USERS};

#[tokio::test]
async fn a_typed_cache_is_that_of_the_registry_in_scope() {
    let (one, other) = (registry(&["typed-users", "typed-names"]).await, registry(&["typed-users"]).await);
    let work = async {
        USERS.insert(1, "Ada".into());
        NAMES.insert((7, "ada".into()), 1);
        assert_eq!((USERS.get(&1).as_deref(), NAMES.get((7, "ada"))), (Some("Ada"), Some(1)));
        assert_eq!(other.scope(async { USERS.get(&1) }).await, None);
        assert_eq!(USERS.get(&1).as_deref(), Some("Ada"));
        assert_eq!(USERS.get_with(&2, async || "Grace".to_owned()).await, "Grace");
        assert_eq!(USERS.try_get_with(2, async || Err::<String, _>("down")).await.as_deref(), Ok("Grace"));
        assert_eq!(USERS.try_get_with(3, async || Err::<String, _>("down")).await, Err("down"));
    };
    one.scope(work).await;
    let users = USERS.of(&one).expect("configured");
    assert_eq!((users.len(), USERS.of(&other).expect("configured").len()), (2, 0));
    assert!(NAMES.of(&other).expect_err("not configured").is_unknown_cache());
    assert_eq!((USERS.name(), USERS.config()), ("typed-users", CacheConfig::new("typed-users")));
}

#[tokio::test]
async fn what_a_typed_cache_evicts_is_evicted_on_every_node() {
    let (here, there) = pair(&["typed-users"]).await;
    let theirs = USERS.of(&there.registry).expect("configured");
    let evictions: [(u64, &dyn Fn()); 5] = [
        (1, &|| USERS.evict(&1)),
        (2, &|| USERS.evict_many([1, 2])),
        (1, &|| USERS.evict_all()),
        (1, &|| USERS.evict_tag("all")),
        (1, &|| USERS.insert(1, "new".into())),
    ];
    let mut heard = 0;
    for (count, evict) in evictions {
        there.registry.scope(tagged(1)).await;
        assert_eq!(theirs.get(&1).as_deref(), Some("user 1"));
        here.registry.scope(async { evict() }).await;
        heard += count;
        there.hears("typed-users", heard).await;
        assert_eq!(theirs.get(&1), None);
    }
}

#[tokio::test]
async fn without_a_registry_or_the_cache_nothing_is_found_and_loaders_run() {
    let (here, there) = pair(&["typed-users"]).await;
    there.registry.scope(tagged(1)).await;
    here.registry.shutdown().await.expect("down");
    let bare = Registry::builder().namespace("attributes").unknown_caches(UnknownCaches::Bypass);
    let bare = bare.backend(here.backend.clone()).start().await.expect("starts");
    let work = async || {
        USERS.insert(1, "Ada".into());
        assert_eq!(USERS.get(&1), None);
        for _ in 0..2 {
            assert_eq!(USERS.get_with(&1, async || "Ada".to_owned()).await, "Ada");
            assert_eq!(USERS.try_get_with(&1, async || Ok::<_, Infallible>("A".into())).await, Ok("A".into()));
        }
        USERS.evict(&2);
    };
    work().await;
    here.registry.scope(work()).await;
    assert_eq!(stats(&there.registry, "typed-users").evicted_by_others, 0);
    bare.scope(work()).await;
    there.hears("typed-users", 2).await;
    assert_eq!(USERS.of(&there.registry).expect("configured").get(&1), None);
}

#[tokio::test]
async fn in_a_transaction_a_typed_cache_waits_for_the_commit() {
    let registry = registry(&["typed-users"]).await;
    let work = async {
        USERS.insert(1, "Ada".into());
        let transaction = Transaction::begin();
        transaction.scope(async { USERS.evict(&1) }).await;
        assert_eq!(transaction.scope(async { USERS.get(&1) }).await, None);
        assert_eq!(USERS.get(&1).as_deref(), Some("Ada"));
        transaction.commit();
        assert_eq!(USERS.get(&1), None);
    };
    registry.scope(work).await;
}

#[cacheable(cache = caches::USERS, key = id)]
async fn find(calls: &Calls, id: u64) -> Result<Option<String>, Infallible> {
    Ok(Some(format!("load {} of {id}", calls.count().await)))
}

#[cacheable(cache = USERS, key = id, tags = ["all"])]
async fn tagged(id: u64) -> String {
    format!("user {id}")
}

#[cacheable(cache = NAMES, key = (tenant, name))]
async fn id_of(calls: &Calls, tenant: u32, name: &str) -> u64 {
    calls.count().await;
    u64::from(tenant) + name.len() as u64
}

#[cacheable(cache = USERS, keys = ids)]
async fn find_many(ids: &[u64]) -> Vec<(u64, String)> {
    ids.iter().map(|id| (*id, format!("many {id}"))).collect()
}

#[cache_put(cache = [USERS, "typed-mirror"], key = id, ttl = Duration::from_secs(5))]
async fn rename(id: u64, name: &str) -> String {
    name.to_owned()
}

#[cacheable(cache = ["typed-mirror", caches::USERS], key = id)]
async fn from_both(calls: &Calls, id: u64) -> String {
    format!("load {} of {id}", calls.count().await)
}

#[cache_evict(cache = [MIRROR, USERS], key = *result)]
async fn save(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[tokio::test]
async fn attributes_take_typed_caches_alone_and_in_lists_with_names() {
    let clock = ManualClock::new();
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).clock(clock.clone());
    let builder = builder.cache(USERS.config()).cache(MIRROR.config()).cache(NAMES.config());
    let registry = builder.start().await.expect("the functions agree with the declarations");
    let calls = Calls::default();
    let work = async {
        for _ in 0..2 {
            assert_eq!(find(&calls, 1).await, Ok(Some("load 1 of 1".into())));
        }
        assert_eq!(USERS.get(&1).as_deref(), Some("load 1 of 1"));
        for _ in 0..2 {
            assert_eq!(id_of(&calls, 1, "ada").await, 4);
        }
        assert_eq!((NAMES.get((1, "ada")), calls.get()), (Some(4), 2));
        assert_eq!(find_many(&[2, 1]).await, [(2, "many 2".into()), (1, "load 1 of 1".into())]);

        rename(1, "Ada").await;
        assert_eq!((USERS.get(&1), MIRROR.get(&1)), (Some("Ada".into()), Some("Ada".into())));
        clock.advance(Duration::from_secs(5));
        assert_eq!(from_both(&calls, 1).await, "load 3 of 1");
        assert_eq!((USERS.get(&1), MIRROR.get(&1)), (Some("load 3 of 1".into()), Some("load 3 of 1".into())));
        save(1).await.expect("Ok");
        assert_eq!((USERS.get(&1), MIRROR.get(&1)), (None, None));
    };
    registry.scope(work).await;
}

cachesync::cache! {
    DISAGREEING: "typed-disagree" => (u64, String);
}

#[cache_evict(cache = "typed-disagree", key = name)]
async fn evict_by_name(name: &str) {}

#[tokio::test]
async fn a_function_that_disagrees_with_a_declaration_is_named_at_the_start() {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(DISAGREEING.config());
    let error = builder.start().await.expect_err("u64 is not String").to_string();
    for part in ["typed::DISAGREEING", "typed::evict_by_name", "attributes/typed.rs:", "u64", "String"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    evict_by_name("a").await;
}
