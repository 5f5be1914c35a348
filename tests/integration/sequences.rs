//! R5 beyond the transport's promise: messages that are missing although the session goes on.

use std::{num::NonZeroUsize, time::Duration};

use cachesync::{CacheConfig, memory::MemoryBackend};
use cachesync_core::{backend::Message, codec, frame::Operation};
use cachesync_tests::{faulty::FaultyBackend, wait::eventually};

use crate::nodes::{DEADLINE, Node, load, node, pair};

/// Of these frames, those that evict nothing.
fn trailers(published: &[Message]) -> usize {
    let is_trailer = |message: &&Message| matches!(codec::decode(&message.body).unwrap().operation, Operation::Keys(keys) if keys.is_empty());
    published.iter().filter(is_trailer).count()
}

#[tokio::test]
async fn the_last_frame_of_an_origins_session_is_missed_when_its_next_one_sends() {
    let hub = MemoryBackend::new();
    let here = Node::on(&hub).await;
    let backend = FaultyBackend::new(&hub);
    // So that no trailer follows before the test is over.
    let hours = Duration::from_hours;
    let origin = node().heartbeat(hours(1)).lease(hours(3)).backend(backend.clone()).start().await.unwrap();
    let users = origin.cache::<u64, String>("users").unwrap();
    load(&here.users, 2, "old").await;
    users.evict(&1);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    here.backend.lose_next(Some("users"));
    users.evict(&2);
    eventually(DEADLINE, || here.backend.has_lost()).await;
    backend.cut();
    eventually(DEADLINE, || origin.stats().sessions == 2).await;
    assert_eq!(here.users.get(&2).as_deref(), Some("old"));
    users.evict(&3);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 2).await;
    assert_eq!(here.users.get(&2), None);
    assert_eq!((here.users.stats().cleared, here.registry.stats().gaps), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_last_frame_before_a_silence_is_missed_within_two_heartbeats() {
    let (here, there) = pair().await;
    there.users.evict(&1);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    load(&here.users, 2, "old").await;
    here.backend.lose_next(Some("users"));
    let start = tokio::time::Instant::now();
    there.users.evict(&2);
    eventually(DEADLINE, || here.users.get(&2).is_none()).await;
    assert!(start.elapsed() <= Duration::from_millis(2_100), "{:?}", start.elapsed());
    assert_eq!((here.users.stats().cleared, here.registry.stats().gaps), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_silence_costs_one_small_message_which_evicts_nothing() {
    let (here, there) = pair().await;
    load(&here.users, 2, "kept").await;
    // Busy for a while, then silent.
    for _ in 0..50 {
        there.users.evict(&1);
        there.registry.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(trailers(&there.backend.published()), 0, "what comes next is check enough");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(trailers(&there.backend.published()), 1);
    eventually(DEADLINE, || here.registry.stats().frames_applied == 51).await;
    assert_eq!(here.users.get(&2).as_deref(), Some("kept"));
    assert_eq!((here.users.stats().cleared, here.users.stats().evicted_by_others), (0, 50));
    assert!(here.registry.status().problems.is_empty(), "{:?}", here.registry.status().problems);
    // And again.
    there.users.evict(&1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(trailers(&there.backend.published()), 2);
    let longest = there.backend.published().iter().map(|message| message.body.len()).max().unwrap();
    assert!(longest < 100, "{longest}");
}

#[tokio::test(start_paused = true)]
async fn a_trailer_that_is_not_taken_is_sent_again_as_any_frame_is() {
    let (here, there) = pair().await;
    eventually(DEADLINE, || there.registry.stats().frames_sent == 1).await;
    there.users.evict(&1);
    there.registry.flush().await.unwrap();
    load(&here.users, 2, "kept").await;
    let before = there.backend.published().len();
    // The second heartbeat from now is confirmed, and the trailer on its way.
    there.backend.slow_down(Duration::from_millis(100));
    eventually(DEADLINE, || there.registry.stats().frames_sent == 4).await;
    there.backend.cut();
    assert_eq!(trailers(&there.backend.published()), 0);
    eventually(DEADLINE, || trailers(&there.backend.published()) == 1).await;
    there.users.evict(&3);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 2).await;
    let published = &there.backend.published()[before..];
    let frames = published.iter().map(|message| codec::decode(&message.body).unwrap());
    let sent: Vec<_> =
        frames.filter(|frame| frame.cache.is_some()).map(|frame| (frame.session, frame.sequence)).collect();
    assert_eq!(sent, [(1, 2), (2, 3)]);
    assert_eq!((here.users.get(&2).as_deref(), here.registry.stats().gaps), (Some("kept"), 0));
}

/// A node with two caches, of which both hold something.
async fn with_two_caches() -> (cachesync::Registry, FaultyBackend, impl Fn() -> (usize, usize)) {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = node().cache(CacheConfig::new("others")).backend(backend.clone()).start().await.unwrap();
    let (users, others) = (registry.cache::<u64, String>("users").unwrap(), registry.cache("others").unwrap());
    for cache in [&users, &others] {
        load(cache, 1, "old").await;
    }
    (registry, backend, move || (users.len(), others.len()))
}

#[tokio::test(start_paused = true)]
async fn a_node_that_misses_its_own_heartbeat_clears_everything_at_the_next() {
    let (registry, backend, len) = with_two_caches().await;
    eventually(DEADLINE, || registry.stats().frames_sent == 2).await;
    backend.lose_next(None);
    eventually(DEADLINE, || backend.has_lost()).await;
    assert_eq!(len(), (1, 1));
    eventually(DEADLINE, || registry.stats().gaps == 1).await;
    assert_eq!((len(), registry.stats().sessions), ((0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_misses_the_first_heartbeat_of_a_session_knows_that_too() {
    let (registry, backend, len) = with_two_caches().await;
    eventually(DEADLINE, || registry.stats().frames_sent == 3).await;
    backend.lose_next(None);
    backend.cut();
    eventually(DEADLINE, || registry.stats().sessions == 2 && backend.has_lost()).await;
    load(&registry.cache("users").unwrap(), 1, "new").await;
    eventually(DEADLINE, || registry.stats().gaps == 1).await;
    assert_eq!(len(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_misses_a_frame_of_its_own_clears_everything() {
    let (registry, backend, len) = with_two_caches().await;
    let users = registry.cache::<u64, String>("users").unwrap();
    users.evict(&7);
    registry.flush().await.unwrap();
    backend.lose_next(Some("users"));
    users.evict(&8);
    eventually(DEADLINE, || backend.has_lost()).await;
    assert_eq!(len(), (1, 1));
    users.evict(&9);
    eventually(DEADLINE, || registry.stats().gaps == 1).await;
    assert_eq!(len(), (0, 0));
    assert_eq!(users.stats().evicted_by_others, 0, "a node skips its own frames");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_come_and_go_make_no_gaps() {
    for hub in [MemoryBackend::new(), MemoryBackend::replaying(NonZeroUsize::new(10_000).unwrap())] {
        let nodes = [Node::on(&hub).await, Node::on(&hub).await, Node::on(&hub).await];
        for round in 0..300u64 {
            let node = &nodes[usize::try_from(round % 3).unwrap()];
            node.users.evict_many(0..round);
            match round % 7 {
                0 => node.backend.cut(),
                1 => node.backend.cut_publisher(),
                2 => node.backend.take_messages(false),
                _ => node.backend.take_messages(true),
            }
            tokio::time::sleep(Duration::from_millis(round * 37 % 400)).await;
        }
        for node in &nodes {
            node.backend.take_messages(true);
            node.registry.flush().await.unwrap();
            let stats = node.registry.stats();
            assert!(stats.sessions > 5, "{stats:?}");
            assert_eq!(stats.gaps, 0, "{stats:?}");
        }
    }
}
