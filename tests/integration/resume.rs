//! R8 with a backend that replays: a session that resumes where the last one ended clears nothing, and renews no lease
//! before it has heard what was missed.

use std::{num::NonZeroUsize, time::Duration};

use cachesync::{Coherence, ManualClock, Registry, memory::MemoryBackend};
use cachesync_core::{
    backend::Format,
    codec,
    frame::{Frame, Operation},
    shape::KeyShape,
};
use cachesync_tests::{gate::Gate, wait::eventually};

use crate::nodes::{DEADLINE, Node, load, node, users_frame};

fn replaying(messages: usize) -> MemoryBackend {
    MemoryBackend::replaying(NonZeroUsize::new(messages).unwrap())
}

/// Two nodes on a hub; the first has heard the second, so it has a place to resume at.
async fn pair_on(hub: &MemoryBackend) -> (Node, Node) {
    let (here, there) = (Node::on(hub).await, Node::on(hub).await);
    there.users.evict(&0);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 1).await;
    (here, there)
}

fn is_coherent(registry: &Registry) -> bool {
    matches!(registry.status().coherence, Coherence::Coherent { .. })
}

fn is_suspect(registry: &Registry) -> bool {
    matches!(registry.status().coherence, Coherence::Suspect { .. })
}

/// Loses the session, and gets none for now.
async fn lose(node: &Node) {
    node.backend.refuse(Some("the test says so"));
    node.backend.cut();
    eventually(DEADLINE, || is_suspect(&node.registry)).await;
}

/// Has a session again.
async fn heal(node: &Node) {
    node.backend.refuse(None);
    eventually(DEADLINE, || is_coherent(&node.registry)).await;
}

/// Sessions, those that resumed, and how often everything was cleared.
fn counts(node: &Node) -> (u64, u64, u64) {
    let stats = node.registry.stats();
    (stats.sessions, stats.resumed, node.users.stats().cleared)
}

#[tokio::test]
async fn a_session_that_resumes_clears_nothing_and_applies_what_was_missed() {
    let (here, there) = pair_on(&replaying(1_000)).await;
    load(&here.users, 1, "old").await;
    load(&here.users, 2, "kept").await;
    for round in 1..=3 {
        lose(&here).await;
        there.users.evict(&1);
        there.registry.flush().await.unwrap();
        assert_eq!(here.users.get(&1).as_deref(), Some("old"), "it cannot know, and its lease allows to serve");
        heal(&here).await;
        assert_eq!(here.users.get(&1), None);
        assert_eq!(here.users.get(&2).as_deref(), Some("kept"));
        assert_eq!(counts(&here), (1 + round, round, 0));
        load(&here.users, 1, "old").await;
    }
}

#[tokio::test]
async fn who_is_too_far_behind_clears() {
    let (here, there) = pair_on(&replaying(10)).await;
    load(&here.users, 1, "old").await;
    lose(&here).await;
    for _ in 0..10 {
        there.users.evict(&1);
        there.registry.flush().await.unwrap();
    }
    heal(&here).await;
    assert_eq!((here.users.len(), counts(&here)), (0, (2, 0, 1)));
    // What it hears now is a place to resume at.
    eventually(DEADLINE, || here.registry.stats().frames_sent > 1).await;
    load(&here.users, 1, "kept").await;
    lose(&here).await;
    heal(&here).await;
    assert_eq!((here.users.len(), counts(&here)), (1, (3, 1, 1)));
}

#[tokio::test]
async fn a_hub_that_is_not_the_one_remembered_clears() {
    let (hub, other) = (replaying(1_000), replaying(1_000));
    let (here, _there) = pair_on(&hub).await;
    // It has had as many messages, and more.
    let (_one, _two) = pair_on(&other).await;
    load(&here.users, 1, "old").await;
    lose(&here).await;
    here.backend.move_to(&other);
    heal(&here).await;
    assert_eq!((here.users.len(), counts(&here)), (0, (2, 0, 1)));
}

#[tokio::test]
async fn a_hub_that_keeps_nothing_clears() {
    let (here, _there) = pair_on(&MemoryBackend::new()).await;
    load(&here.users, 1, "old").await;
    lose(&here).await;
    heal(&here).await;
    assert_eq!((here.users.len(), counts(&here)), (0, (2, 0, 1)));
}

#[tokio::test(start_paused = true)]
async fn neither_the_reconnect_nor_a_replayed_heartbeat_renews_the_lease_but_the_first_of_the_session() {
    const LEASE: Duration = Duration::from_secs(10);
    let (hub, clock) = (replaying(1_000), ManualClock::new());
    let (here, there) = pair_on(&hub).await;
    let registry = node().backend(here.backend.clone()).lease(LEASE).clock(clock.clone()).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    drop(here.registry);
    load(&users, 1, "old").await;
    load(&users, 2, "kept").await;
    eventually(DEADLINE, || registry.stats().frames_sent == 2).await;

    // A heartbeat is sent, and not heard before the session is lost.
    here.backend.deliver(false);
    clock.advance(LEASE / 2);
    eventually(DEADLINE, || registry.stats().frames_sent == 4).await;
    there.users.evict(&1);
    there.registry.flush().await.unwrap();
    here.backend.cut();
    here.backend.take_messages(false);
    eventually(DEADLINE, || registry.stats().resumed == 1).await;
    assert_eq!(registry.status().lease_left, Some(LEASE / 2), "of before");
    assert!(is_suspect(&registry), "although there is a session");
    assert_eq!(users.get(&1).as_deref(), Some("old"), "as ever within the lease");

    // The heartbeat is ahead of the eviction.
    here.backend.deliver(true);
    eventually(DEADLINE, || users.get(&1).is_none()).await;
    assert_eq!(registry.status().lease_left, Some(LEASE / 2));
    assert!(is_suspect(&registry));
    clock.advance(LEASE / 2);
    assert_eq!(users.get(&2), None);
    assert!(matches!(registry.status().coherence, Coherence::Partitioned { .. }));

    here.backend.take_messages(true);
    eventually(DEADLINE, || is_coherent(&registry)).await;
    assert_eq!(registry.status().lease_left, Some(LEASE / 2), "it was sent before the clock moved on");
    assert_eq!(users.get(&2).as_deref(), Some("kept"), "nothing was missed, and nothing cleared");
    assert_eq!((registry.stats().sessions, users.stats().cleared), (2, 0));
}

#[tokio::test]
async fn a_load_in_flight_over_the_gap_is_kept_unless_its_key_was_evicted_meanwhile() {
    let (here, there) = pair_on(&replaying(1_000)).await;
    let gate = Gate::new();
    let begin = |key: u64| {
        let (users, gate) = (here.users.clone(), gate.clone());
        tokio::spawn(async move {
            let body = async || {
                gate.pass().await;
                "read before the gap".to_owned()
            };
            users.get_with(key, body).await
        })
    };
    let loads = [begin(1), begin(2)];
    gate.reached_by(2).await;
    lose(&here).await;
    there.users.evict(&1);
    there.registry.flush().await.unwrap();
    heal(&here).await;
    gate.let_through(2);
    for load in loads {
        assert_eq!(load.await.unwrap(), "read before the gap");
    }
    assert_eq!(here.users.get(&1), None);
    assert_eq!(here.users.get(&2).as_deref(), Some("read before the gap"));
}

/// It would hear the same backlog again, and be as late, for ever.
#[tokio::test(start_paused = true)]
async fn after_a_session_that_was_given_up_for_a_late_heartbeat_the_caches_are_cleared() {
    let (here, _there) = pair_on(&replaying(100_000)).await;
    load(&here.users, 1, "old").await;
    here.backend.deliver(false);
    eventually(DEADLINE, || here.registry.status().last_error.is_some()).await;
    let error = here.registry.status().last_error.unwrap();
    assert!(error.contains("no heartbeat of this node came back"), "{error}");
    here.backend.deliver(true);
    eventually(DEADLINE, || is_coherent(&here.registry)).await;
    assert_eq!((here.users.len(), counts(&here)), (0, (2, 0, 1)));
}

/// If it is the next message that ends the session, it would do so for ever.
#[tokio::test(start_paused = true)]
async fn a_session_that_resumed_and_came_no_further_is_not_resumed_again() {
    let (here, _there) = pair_on(&replaying(1_000)).await;
    load(&here.users, 1, "old").await;
    here.backend.deliver(false);
    here.backend.cut();
    eventually(DEADLINE, || counts(&here) == (2, 1, 0)).await;
    here.backend.cut();
    eventually(DEADLINE, || counts(&here) == (3, 1, 1)).await;
    assert!(here.users.is_empty());
    here.backend.deliver(true);
    eventually(DEADLINE, || is_coherent(&here.registry)).await;
}

#[tokio::test]
async fn what_is_missing_of_what_is_replayed_is_noticed() {
    let send = |node: &Node, sequence| {
        let operation = Operation::Keys(vec![codec::encode_key(&99u64).unwrap()]);
        let frame = Frame { sequence, shape: KeyShape::of::<u64>(), operation, ..users_frame() };
        node.backend.inject(Format::Frame, Some("users"), codec::encode(&frame));
    };
    for (hub, gaps) in [(replaying(1_000), 1), (MemoryBackend::new(), 0)] {
        let (here, _there) = pair_on(&hub).await;
        send(&here, 1);
        eventually(DEADLINE, || here.users.stats().evicted_by_others == 2).await;
        lose(&here).await;
        heal(&here).await;
        // 2 should have come meanwhile; who has cleared need not have heard it.
        send(&here, 3);
        eventually(DEADLINE, || here.users.stats().evicted_by_others == 3).await;
        assert_eq!(here.registry.stats().gaps, gaps);
        assert_eq!(here.users.stats().cleared, 1);
    }
}
