//! Evictions by tag: R2, R4, R5, R7 and R10, by what travels and is counted.

use std::{future::ready, io, time::Duration};

use cachesync::{CacheConfig, Registry, Transaction, cacheable, memory::MemoryBackend};
use cachesync_core::{
    backend::Format,
    codec::{self, MAX_TAG_BYTES},
    frame::{Frame, Operation},
};
use cachesync_tests::{faulty::FaultyBackend, wait::eventually};

use crate::nodes::{DEADLINE, Node, another, load, pair, users_frame};

/// Beyond this many keys and tags that wait, they become all.
const MOST: u32 = 100_000;

fn tags<const N: usize>(tags: [&str; N]) -> Operation {
    Operation::Tags(tags.map(str::to_owned).into())
}

/// What the node has told the others so far, heartbeats apart; tags sorted, and with the hold in seconds.
fn told(backend: &FaultyBackend) -> Vec<(Operation, u64)> {
    let frames = backend.published().into_iter().map(|message| codec::decode(&message.body).expect("our own frame"));
    frames
        .filter(|frame| frame.cache.is_some())
        .map(|Frame { mut operation, hold, .. }| {
            if let Operation::Tags(tags) = &mut operation {
                tags.sort();
            }
            (operation, hold.as_secs())
        })
        .collect()
}

/// What the node has told the others by the end of this.
async fn told_after_all(node: &Node) -> Vec<(Operation, u64)> {
    node.registry.flush().await.expect("the broker takes everything");
    told(&node.backend)
}

#[tokio::test]
async fn an_eviction_by_tag_travels_as_such_whether_there_are_entries_or_not() {
    let (here, there) = pair().await;
    here.users.evict_tag(format_args!("team:{}", 5));
    here.users.evict_tags([6, 7]);
    here.users.evict_tags(Vec::<&str>::new());
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 3).await;
    // In one frame or two, as it happens.
    let told_of = |(operation, hold)| match operation {
        Operation::Tags(tags) => tags.into_iter().map(|tag| (tag, hold)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let mut all: Vec<_> = told_after_all(&here).await.into_iter().flat_map(told_of).collect();
    all.sort();
    assert_eq!(all, [("6".into(), 0), ("7".into(), 0), ("team:5".into(), 0)]);
    assert_eq!((here.users.stats().evicted, there.users.stats().cleared), (3, 0));
    assert_eq!(told_after_all(&there).await, [], "applying it tells nobody");
    assert_eq!(here.users.stats().evicted_by_others, 0);
}

/// Fills a key, with this tag.
#[cacheable(cache = "users", key = id, registry = registry, tags = [tag])]
async fn tagged(registry: &Registry, id: u64, tag: &str) -> Option<String> {
    Some(format!("{id} {tag}"))
}

/// User 1 carries `a`, user 2 carries `b`, user 3 nothing.
async fn fill(nodes: [&Node; 2]) {
    for node in nodes {
        tagged(&node.registry, 1, "a").await;
        tagged(&node.registry, 2, "b").await;
        load(&node.users, 3, "untagged").await;
    }
}

fn cached(node: &Node) -> [bool; 3] {
    [1, 2, 3].map(|key| node.users.get(&key).is_some())
}

#[tokio::test]
async fn an_eviction_by_tag_reaches_the_entries_of_every_node_that_carry_it() {
    let (here, there) = pair().await;
    for evict in [
        |node: &Node| node.users.evict_tag("a"),
        |node: &Node| {
            node.backend.inject(Format::Json, None, r#"{"cache": "users", "tags": ["a"]}"#);
        },
    ] {
        fill([&here, &there]).await;
        evict(&there);
        eventually(DEADLINE, || cached(&there) == [false, true, true]).await;
    }
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    fill([&here, &there]).await;
    let transaction = Transaction::begin();
    transaction.scope(async { here.users.evict_tag("a") }).await;
    assert_eq!(cached(&here), [true; 3], "not yet");
    transaction.commit();
    assert_eq!(cached(&here), [false, true, true]);
    eventually(DEADLINE, || cached(&there) == [false, true, true]).await;
}

#[tokio::test]
async fn a_tag_that_is_too_long_evicts_all_everywhere() {
    let (here, there) = pair().await;
    load(&here.users, 1, "old").await;
    load(&there.users, 1, "old").await;
    here.users.evict_tags(["short".to_owned(), "x".repeat(MAX_TAG_BYTES + 1)]);
    assert!(here.users.is_empty());
    eventually(DEADLINE, || there.users.is_empty()).await;
    assert_eq!(told_after_all(&here).await, [(Operation::All, 0)]);
    here.users.evict_tag("x".repeat(MAX_TAG_BYTES));
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 2).await;
    assert_eq!(there.registry.stats().bad_messages, 0);
}

#[tokio::test]
async fn tags_wait_for_the_broker_and_too_many_of_them_become_all() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    here.backend.refuse(Some("away"));
    here.backend.cut();
    eventually(DEADLINE, || here.registry.status().last_error.is_some_and(|error| error.contains("away"))).await;
    here.users.evict_tags(["a", "b"]);
    here.users.evict_tag("a");
    assert_eq!(told(&here.backend), []);
    here.backend.refuse(None);
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 2).await;
    assert_eq!(told(&here.backend), [(tags(["a", "b"]), 0)]);

    here.backend.refuse(Some("away"));
    here.backend.cut();
    eventually(DEADLINE, || here.registry.status().last_error.is_some_and(|error| error.contains("away"))).await;
    here.users.evict_tags(0..=MOST);
    here.backend.refuse(None);
    eventually(DEADLINE, || there.users.is_empty()).await;
    assert_eq!(told_after_all(&here).await.last(), Some(&(Operation::All, 0)));
}

#[tokio::test]
async fn thousands_of_tags_are_few_messages_of_which_none_is_too_large() {
    let (here, there) = pair().await;
    here.users.evict_tags((0..3_000).map(|tag| format!("{tag:500}")));
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 3_000).await;
    assert_eq!(there.registry.stats().bad_messages, 0);
    let messages = told_after_all(&here).await.len();
    assert!((3..30).contains(&messages), "{messages}");
}

#[tokio::test]
async fn in_a_transaction_a_tag_waits_for_the_commit() {
    let (here, there) = pair().await;
    let transaction = Transaction::begin();
    transaction.scope(async { here.users.evict_tags(["b", "a", "a"]) }).await;
    assert_eq!(told_after_all(&here).await, [], "not yet");
    assert_eq!(here.users.stats().evicted, 0);
    transaction.commit().confirmed().await.unwrap();
    assert_eq!(told(&here.backend), [(tags(["a", "b"]), 0)]);
    assert_eq!(here.users.stats().evicted, 2);
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 2).await;
}

#[tokio::test]
async fn a_rollback_and_a_drop_discard_tags_and_an_inner_commit_hands_them_over() {
    let (here, _there) = pair().await;
    for end in [Transaction::rollback, drop] {
        let transaction = Transaction::begin();
        transaction.scope(async { here.users.evict_tag("a") }).await;
        end(transaction);
    }
    let outer = Transaction::begin();
    let inner = async {
        here.users.evict_tag("outer");
        let undone = Transaction::begin();
        undone.scope(async { here.users.evict_tag("undone") }).await;
        undone.rollback();
        let inner = Transaction::begin();
        inner.scope(async { here.users.evict_tag("inner") }).await;
        inner.commit();
    };
    outer.scope(inner).await;
    assert_eq!(told_after_all(&here).await, []);
    outer.commit().confirmed().await.unwrap();
    assert_eq!(told(&here.backend), [(tags(["inner", "outer"]), 0)]);
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_evicts_by_tag_with_a_hold() {
    let (here, there) = pair().await;
    let transaction = Transaction::begin();
    transaction.scope(async { here.users.evict_tag("a") }).await;
    transaction.commit_with(ready(Err(io::Error::other("the connection was reset")))).await.unwrap_err();
    assert_eq!(told_after_all(&here).await, [(tags(["a"]), 5)]);
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 1).await;
}

#[tokio::test]
async fn keys_and_tags_of_one_transaction_both_travel_and_too_many_become_all() {
    let (here, there) = pair().await;
    let transaction = Transaction::begin();
    let write = async {
        here.users.evict_tag("a");
        here.users.evict(&1);
    };
    transaction.scope(write).await;
    transaction.commit().confirmed().await.unwrap();
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 2).await;
    assert!(told(&here.backend).contains(&(tags(["a"]), 0)));

    load(&here.users, u64::MAX, "old").await;
    let before = told(&here.backend).len();
    let transaction = Transaction::begin();
    let write = async {
        here.users.evict_many(0..u64::from(MOST / 2));
        here.users.evict_tags(0..=MOST / 2);
        assert_eq!(here.users.get(&u64::MAX), None);
    };
    transaction.scope(write).await;
    transaction.commit().confirmed().await.unwrap();
    assert_eq!(told(&here.backend)[before..], [(Operation::All, 0)]);
    assert!(here.users.is_empty());
}

#[tokio::test]
async fn other_programs_evict_by_tag_in_json() {
    let (here, _there) = pair().await;
    here.backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "tags": ["team:5", "team:6"]}"#);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 2).await;
    let stats = here.registry.stats();
    assert_eq!((stats.json_applied, stats.bad_messages, here.users.stats().cleared), (1, 0, 0));
    // Longer than any tag that is remembered: all.
    load(&here.users, 1, "old").await;
    let long = format!(r#"{{"cache": "users", "tags": ["{}"]}}"#, "x".repeat(MAX_TAG_BYTES + 1));
    here.backend.inject(Format::Json, Some("users"), long);
    eventually(DEADLINE, || here.users.is_empty()).await;
    assert_eq!(here.registry.stats().bad_messages, 0);
}

#[tokio::test]
async fn tags_that_are_no_tags_are_counted_and_clear_the_cache() {
    let (here, _there) = pair().await;
    let too_long = Frame { operation: Operation::Tags(vec!["x".repeat(MAX_TAG_BYTES + 1)]), ..users_frame() };
    let bodies = [
        (Format::Json, br#"{"cache": "users", "tags": [5]}"#.to_vec()),
        (Format::Json, br#"{"cache": "users", "tags": ["a"], "keys": [1]}"#.to_vec()),
        (Format::Frame, codec::encode(&too_long)),
    ];
    for (bad, (format, body)) in (1..).zip(bodies) {
        load(&here.users, 1, "old").await;
        here.backend.inject(format, Some("users"), body);
        eventually(DEADLINE, || here.registry.stats().bad_messages == bad).await;
        eventually(DEADLINE, || here.users.is_empty()).await;
    }
}

#[tokio::test]
async fn a_tag_evicted_with_a_hold_awaits_a_cache_whose_store_is_made_later() {
    let hub = MemoryBackend::new();
    let backend = FaultyBackend::new(&hub);
    let registry = another(CacheConfig::new("users"), backend.clone()).await;
    let held = Frame { hold: Duration::from_mins(1), operation: tags(["a"]), ..users_frame() };
    backend.inject(Format::Frame, Some("users"), codec::encode(&held));
    eventually(DEADLINE, || registry.stats().caches["users"].evicted_by_others == 1).await;
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "perhaps old").await;
    assert!(users.is_empty());
}

#[tokio::test]
async fn a_gap_before_a_frame_of_tags_clears_the_cache() {
    let (here, _there) = pair().await;
    let send = |sequence| {
        let frame = Frame { sequence, operation: tags(["nobody's"]), ..users_frame() };
        here.backend.inject(Format::Frame, Some("users"), codec::encode(&frame));
    };
    send(1);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    load(&here.users, 1, "old").await;
    send(3);
    eventually(DEADLINE, || here.users.stats().cleared == 1).await;
    assert!(here.users.is_empty());
}
