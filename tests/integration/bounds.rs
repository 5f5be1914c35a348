//! Nothing grows without limit: not in a day without a broker, not under a flood, not in a large transaction.

use std::time::Duration;

use cachesync::{CacheConfig, Coherence, Registry, Transaction, UnknownCaches, memory::MemoryBackend};
use cachesync_core::{
    backend::{Format, Topic},
    codec,
    frame::{Frame, NodeId, Operation},
    shape::KeyShape,
};
use cachesync_tests::{faulty::FaultyBackend, wait::eventually};

use crate::{
    logged::times_logged,
    nodes::{DEADLINE, Node, load, pair, users_frame},
};

/// What a node has told the others of its caches.
fn told(backend: &FaultyBackend) -> Vec<Frame> {
    let messages = backend.published().into_iter().filter(|message| matches!(message.topic, Topic::Cache(_)));
    messages.map(|message| codec::decode(&message.body).expect("a frame")).collect()
}

#[tokio::test]
async fn a_million_keys_in_one_transaction_are_all_keys_and_one_frame() {
    let (here, there) = pair().await;
    load(&there.users, 5_000_000, "old").await;
    let transaction = Transaction::begin();
    transaction.scope(async { (0..1_000_000).for_each(|key| here.users.evict(&key)) }).await;
    transaction.commit().confirmed().await.unwrap();
    let told = told(&here.backend);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].operation, Operation::All);
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_day_without_a_broker_leaves_one_frame_for_each_cache_however_much_was_written() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let builder = Registry::builder().namespace("test").unknown_caches(UnknownCaches::Bypass).backend(backend.clone());
    let builder = ["users", "teams"].map(CacheConfig::new).into_iter().fold(builder, cachesync::RegistryBuilder::cache);
    let registry = builder.start().await.unwrap();
    let caches = ["users", "teams"].map(|name| registry.cache::<u64, String>(name).unwrap());
    backend.refuse(Some("away for a day"));
    backend.cut();
    for minute in 0..24 * 60 {
        for key in 0..150 {
            for cache in &caches {
                cache.evict(&(minute * 150 + key));
            }
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    assert!(matches!(registry.status().coherence, Coherence::Suspect { .. } | Coherence::Partitioned { .. }));
    let depth = registry.status().outbox;
    assert_eq!(
        (depth.keys, depth.bytes, depth.whole_caches),
        (0, 0, 2),
        "what waits, and not how often it was asked for"
    );
    assert_eq!(registry.stats().overflows, 2);

    backend.refuse(None);
    eventually(DEADLINE, || registry.status().outbox.is_empty()).await;
    let told: Vec<_> = told(&backend).into_iter().map(|frame| frame.operation).collect();
    assert_eq!(told, [Operation::All, Operation::All]);
}

#[test]
fn a_peer_that_floods_a_node_with_gaps_and_garbage_does_not_flood_its_log() {
    for (text, garbage) in [("a frame is missing", false), ("a message was not understood", true)] {
        let warnings = times_logged(text, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let here = Node::on(&MemoryBackend::new()).await;
                for frame in 1..=1_000 {
                    // From the second on each is one too far ahead.
                    let gap = Frame { sequence: 2 * frame, ..users_frame() };
                    let body = if garbage { b"garbage".to_vec() } else { codec::encode(&gap) };
                    here.backend.inject(Format::Frame, Some("users"), body);
                }
                let cleared = || here.users.stats().cleared;
                let last = if garbage { 1_000 } else { 999 };
                eventually(DEADLINE, || cleared() == last).await;
            });
        });
        assert_eq!(warnings, 10, "{text}: the 1st, 2nd, 4th, ... 512th");
    }
}

/// Each time the broker takes what waits, and it is too much again at once.
#[test]
fn evictions_that_are_too_many_again_and_again_are_logged_ever_more_rarely() {
    let warnings = times_logged("evicting all of the cache", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let here = Node::on(&MemoryBackend::new()).await;
            for round in 1..=10 {
                // 1,000 bytes each, 16 MiB and a bit.
                here.users.evict_tags((0..16_800).map(|tag| format!("{tag:01000}")));
                assert_eq!(here.registry.stats().overflows, round);
                here.registry.flush().await.unwrap();
            }
        });
    });
    assert_eq!(warnings, 4, "the 1st, 2nd, 4th and 8th");
}

#[tokio::test]
async fn peers_with_ever_new_key_types_do_not_fill_the_status() {
    let here = Node::on(&MemoryBackend::new()).await;
    load(&here.users, 1, "old").await;
    for length in 1..=100 {
        let tuple = format!("({})", ["u8"; 200][..length].join(","));
        let foreign = Frame {
            origin: NodeId(length as u128),
            shape: KeyShape::from_wire(&tuple),
            operation: Operation::Keys(vec![codec::encode_key(&1u64).unwrap()]),
            ..users_frame()
        };
        here.backend.inject(Format::Frame, Some("users"), codec::encode(&foreign));
    }
    eventually(DEADLINE, || here.users.stats().cleared == 100).await;
    assert_eq!(here.registry.status().problems.len(), 32);
}
