//! R5 and R10: what programs in other languages send, garbage, versions and key types that do not agree.

use std::time::Duration;

use cachesync::{CacheConfig, Registry, UnknownCaches, memory::MemoryBackend};
use cachesync_core::{
    backend::Format,
    codec,
    frame::{Frame, NodeId, Operation},
    shape::KeyShape,
};
use cachesync_tests::wait::eventually;
use serde::{Deserialize, Serialize};

use crate::nodes::{DEADLINE, Node, another, load, pair, users_frame};

/// A node with two caches, both filled.
async fn filled() -> (Node, cachesync::Cache<(u32, String), u8>) {
    let hub = MemoryBackend::new();
    let here = Node::on(&hub).await;
    let registry = Registry::builder()
        .namespace("test")
        .cache(CacheConfig::new("users"))
        .cache(CacheConfig::new("roles"))
        .unknown_caches(UnknownCaches::Bypass)
        .backend(here.backend.clone())
        .start()
        .await
        .unwrap();
    let users = registry.cache("users").unwrap();
    let roles = registry.cache("roles").unwrap();
    let node = Node { registry, users, backend: here.backend };
    for key in 1..=3 {
        load(&node.users, key, "Ada").await;
    }
    roles.insert((7, "admin".into()), 1);
    (node, roles)
}

#[tokio::test]
async fn json_evicts_keys_or_all() {
    let (node, roles) = filled().await;
    let send = |cache: &str, body: &str| node.backend.inject(Format::Json, Some(cache), body);
    send("users", r#"{"cache": "users", "keys": [1, 3]}"#);
    eventually(DEADLINE, || node.users.len() == 1).await;
    assert_eq!(node.users.get(&2).as_deref(), Some("Ada"));
    send("elsewhere", r#"{"cache": "roles", "keys": [[7, "admin"]]}"#);
    eventually(DEADLINE, || roles.is_empty()).await;
    send("users", r#"{"cache": "users", "all": true}"#);
    eventually(DEADLINE, || node.users.is_empty()).await;
    let stats = node.registry.stats();
    assert_eq!((stats.json_applied, stats.bad_messages), (3, 0));
}

#[tokio::test]
async fn garbage_is_counted_survived_and_clears_what_it_may_have_concerned() {
    let (node, roles) = filled().await;
    let mut bad = 0;
    let mut expect_cleared = async |cache: Option<&str>, format, body: &[u8], users_gone: bool, roles_gone: bool| {
        node.users.insert(1, "Ada".into());
        roles.insert((7, "admin".into()), 1);
        node.backend.inject(format, cache, body);
        bad += 1;
        eventually(DEADLINE, || node.registry.stats().bad_messages == bad).await;
        eventually(DEADLINE, || node.users.is_empty() == users_gone && roles.is_empty() == roles_gone).await;
    };
    expect_cleared(Some("users"), Format::Frame, b"garbage", true, false).await;
    expect_cleared(Some("roles"), Format::Frame, b"", false, true).await;
    expect_cleared(None, Format::Frame, b"\xC5\x01\x01", true, true).await;
    expect_cleared(Some("users"), Format::Json, b"{", true, false).await;
    // What the body names is more exact than its address.
    expect_cleared(Some("users"), Format::Json, br#"{"cache": "roles"}"#, false, true).await;
    expect_cleared(Some("users"), Format::Json, br#"{"cache": "users", "keys": ["Ada"]}"#, true, false).await;
    expect_cleared(Some("unknown"), Format::Frame, b"garbage", false, false).await;

    node.users.insert(1, "Ada".into());
    node.backend.inject(Format::Json, None, r#"{"cache": "users", "keys": [1]}"#);
    eventually(DEADLINE, || node.users.is_empty()).await;
    assert_eq!(node.registry.stats().sessions, 1, "the subscriber went on");
}

#[tokio::test]
async fn an_operation_that_is_not_known_clears_the_cache_that_it_names() {
    let (node, roles) = filled().await;
    let unknown = Frame { operation: Operation::Unknown(99), ..users_frame() };
    node.backend.inject(Format::Frame, Some("users"), codec::encode(&unknown));
    eventually(DEADLINE, || node.users.is_empty()).await;
    assert_eq!(roles.len(), 1);
    assert_eq!(node.registry.stats().bad_messages, 0);
}

#[tokio::test]
async fn a_foreign_key_shape_clears_the_cache_keeps_the_hold_and_is_reported_once() {
    let (node, roles) = filled().await;
    for origin in 1..=40 {
        let foreign = Frame {
            origin: NodeId(origin),
            hold: Duration::from_mins(1),
            shape: KeyShape::of::<String>(),
            operation: Operation::Keys(vec![codec::encode_key("1").unwrap()]),
            ..users_frame()
        };
        node.backend.inject(Format::Frame, Some("users"), codec::encode(&foreign));
    }
    eventually(DEADLINE, || node.users.stats().cleared == 40).await;
    load(&node.users, 1, "perhaps old").await;
    assert!(node.users.is_empty(), "the outcome is not known: held");
    assert_eq!(roles.len(), 1);
    let problems = node.registry.status().problems;
    assert!(problems.len() == 1 && problems[0].contains("has keys of the form `str`, this one `u64`"), "{problems:?}");
}

#[tokio::test]
async fn a_hold_awaits_a_cache_whose_store_is_made_later() {
    let (node, _roles) = filled().await;
    let registry = another(CacheConfig::new("users"), node.backend.clone()).await;
    let held = Frame { hold: Duration::from_mins(1), ..users_frame() };
    node.backend.inject(Format::Frame, Some("users"), codec::encode(&held));
    eventually(DEADLINE, || registry.stats().frames_applied == 1).await;
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "perhaps old").await;
    assert!(users.is_empty());
}

#[tokio::test]
async fn a_frame_claiming_to_come_from_this_node_is_ignored_only_if_it_does() {
    let (here, there) = pair().await;
    load(&here.users, 1, "Ada").await;
    here.users.evict(&2);
    here.registry.flush().await.unwrap();
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 1).await;
    assert_eq!(here.users.stats().evicted_by_others, 0, "a node skips its own frames");
    let own = here.backend.published().into_iter().last().unwrap();
    there.backend.inject(Format::Frame, Some("users"), own.body);
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 2).await;
}

/// A key that forgets a part of itself on the way.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Forgetful {
    id: u64,
    #[serde(skip)]
    tenant: u32,
}

#[tokio::test]
async fn a_key_type_that_does_not_survive_serde_is_not_cached_and_evicts_all_elsewhere() {
    let hub = MemoryBackend::new();
    let start = || another(CacheConfig::new("users"), hub.clone());
    let (here, there) = (start().await, start().await);
    // Also if the first key seen happens to come back.
    let (one, other) = (here.cache::<Forgetful, u8>("users").unwrap(), there.cache::<Forgetful, u8>("users").unwrap());
    for tenant in [0, 1] {
        other.insert(Forgetful { id: 1, tenant }, 1);
    }
    other.insert(Forgetful { id: 2, tenant: 0 }, 1);
    one.evict(&Forgetful { id: 1, tenant: 1 });
    eventually(DEADLINE, || other.is_empty()).await;

    let hub = MemoryBackend::new();
    let start = || another(CacheConfig::new("users"), hub.clone());
    let (here, there) = (start().await, start().await);
    let forgetful = here.cache::<Forgetful, u8>("users").unwrap();
    let sound = there.cache::<u64, u8>("users").unwrap();
    let key = Forgetful { id: 1, tenant: 7 };
    assert_eq!(forgetful.get_with(&key, async || 1).await, 1);
    assert_eq!(forgetful.get_with(&key, async || 2).await, 2);
    assert!(here.status().problems[0].contains("does not survive serde"), "{:?}", here.status().problems);
    sound.insert(5, 5);
    forgetful.evict(&key);
    eventually(DEADLINE, || sound.is_empty()).await;
}

#[tokio::test]
async fn a_key_too_long_for_a_frame_evicts_all() {
    let hub = MemoryBackend::new();
    let start = || another(CacheConfig::new("pages"), hub.clone());
    let (here, there) = (start().await, start().await);
    let long = "x".repeat(codec::MAX_KEY_BYTES + 1);
    let (mine, theirs) = (here.cache::<String, u8>("pages").unwrap(), there.cache::<String, u8>("pages").unwrap());
    mine.insert(long.clone(), 1);
    assert_eq!(mine.get(long.as_str()), Some(1), "it is cached all the same");
    theirs.insert("short".into(), 1);
    mine.evict(long.as_str());
    eventually(DEADLINE, || theirs.is_empty()).await;
    assert!(here.status().problems.is_empty());
}
