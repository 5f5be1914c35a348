//! R5, R6 and R8: a lost session is noticed, staleness is bounded by the lease, and reconnecting clears.

use std::time::Duration;

use cachesync::{Coherence, ManualClock, memory::MemoryBackend};
use cachesync_core::{
    Backend, BackendError, BoxFuture, Session,
    backend::{Format, Interest, Position},
    codec,
    frame::{Frame, Operation},
    shape::KeyShape,
};
use cachesync_tests::{
    faulty::FaultyBackend,
    wait::{eventually, within},
};
use tokio::time::{Instant, sleep};

use crate::nodes::{DEADLINE, load, node, pair, users_frame};

#[tokio::test]
async fn after_a_lost_session_the_caches_are_cleared_before_they_are_served_again() {
    let (here, there) = pair().await;
    load(&here.users, 1, "old").await;
    here.backend.refuse(Some("the test says so"));
    here.backend.cut();
    eventually(DEADLINE, || matches!(here.registry.status().coherence, Coherence::Suspect { .. })).await;
    there.users.evict(&1);
    there.registry.flush().await.unwrap();
    assert_eq!(here.users.get(&1).as_deref(), Some("old"), "it cannot know, and its lease allows to serve");

    here.backend.refuse(None);
    eventually(DEADLINE, || matches!(here.registry.status().coherence, Coherence::Coherent { .. })).await;
    assert_eq!(here.users.get(&1), None);
    assert_eq!(here.users.stats().cleared, 1);
    assert!(here.registry.status().last_error.unwrap().starts_with("the test "));
}

#[tokio::test]
async fn past_the_lease_nothing_is_served_or_kept_until_a_session_is_back() {
    let hub = MemoryBackend::new();
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&hub));
    let registry = node()
        .backend(backend.clone())
        .heartbeat(Duration::from_secs(1))
        .lease(Duration::from_secs(10))
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "old").await;
    backend.refuse(Some("the test says so"));
    backend.cut();
    eventually(DEADLINE, || registry.status().last_error.is_some()).await;

    clock.advance(Duration::from_millis(9_999));
    assert_eq!(users.get(&1).as_deref(), Some("old"));
    clock.advance(Duration::from_millis(1));
    assert_eq!(users.get(&1), None);
    assert!(matches!(registry.status().coherence, Coherence::Partitioned { .. }));
    assert_eq!(load(&users, 1, "new").await, "new");
    assert_eq!(load(&users, 1, "newer").await, "newer", "nothing is kept");
    users.insert(2, "put".into());
    assert_eq!(users.get(&2), None);
    assert!(!users.reserve(&3).fill("by hand".into()));

    backend.refuse(None);
    eventually(DEADLINE, || matches!(registry.status().coherence, Coherence::Coherent { .. })).await;
    load(&users, 1, "newest").await;
    assert_eq!(users.get(&1).as_deref(), Some("newest"));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_that_come_back_renew_the_lease_and_one_that_does_not_ends_the_session() {
    let hub = MemoryBackend::new();
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&hub));
    let registry = node().backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    for _ in 0..30 {
        clock.advance(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        eventually(DEADLINE, || registry.status().lease_left == Some(Duration::from_secs(10))).await;
    }
    assert_eq!(registry.stats().sessions, 1);

    // Publishing hangs, so no heartbeat comes back any more; time passes as fast as the tasks wait for it.
    backend.take_messages(false);
    eventually(DEADLINE, || registry.status().last_error.is_some()).await;
    let error = registry.status().last_error.unwrap();
    assert!(error.contains("no heartbeat of this node came back for 10s"), "{error}");
}

/// Behind a backlog heartbeats come as often as ever: what counts is when they were sent.
#[tokio::test(start_paused = true)]
async fn heartbeats_that_come_back_regularly_and_too_late_end_the_session() {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
    let registry = node().backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    eventually(DEADLINE, || registry.status().lease_left == Some(Duration::from_secs(10))).await;

    backend.slow_down(Duration::from_secs(6));
    let mut heard = 0;
    for _ in 0..200 {
        clock.advance(Duration::from_millis(100));
        tokio::time::advance(Duration::from_millis(100)).await;
        heard += u32::from(registry.status().lease_left == Some(Duration::from_secs(4)));
    }
    assert!(heard > 0, "they do come back");
    let error = registry.status().last_error.expect("one that is 6 s old leaves 4 s, and the next takes 6 s");
    assert!(error.contains("no heartbeat of this node came back for 10s"), "{error}");
}

/// A broker may deliver twice, and late.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_comes_again_leaves_the_session_as_much_time_as_it_had() {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
    let registry = node().backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    eventually(DEADLINE, || !backend.published().is_empty()).await;
    let second = Duration::from_secs(1);
    for _ in 0..9 {
        clock.advance(second);
        tokio::time::advance(second).await;
        eventually(DEADLINE, || registry.status().lease_left == Some(Duration::from_secs(10))).await;
    }
    // From now on no other comes.
    backend.take_messages(false);
    let heartbeats = backend.published();
    for again in [&heartbeats[0], &heartbeats[0], heartbeats.last().unwrap()] {
        backend.inject(Format::Frame, None, again.body.clone());
    }
    backend.inject(Format::Frame, None, heartbeats[0].body.clone());
    backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "keys": [2]}"#);
    eventually(DEADLINE, || registry.stats().json_applied == 1).await;
    for _ in 0..8 {
        clock.advance(second);
        tokio::time::advance(second).await;
    }
    assert_eq!((registry.stats().sessions, registry.status().last_error), (1, None), "the first would be 18 s old now");
    eventually(DEADLINE, || registry.status().last_error.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_session_that_has_lasted_the_next_one_is_tried_soon_again() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = node().backend(backend.clone()).start().await.unwrap();
    let connected = async || {
        let sessions = registry.stats().sessions;
        while registry.stats().sessions == sessions {
            sleep(Duration::from_millis(1)).await;
        }
    };
    for (lasts, soon) in [(31, true), (29, false)] {
        // After a while the pauses between attempts are as long as they ever are.
        backend.refuse(Some("the test says so"));
        backend.cut();
        sleep(Duration::from_mins(1)).await;
        backend.refuse(None);
        within(DEADLINE, connected()).await;
        sleep(Duration::from_secs(lasts)).await;
        let lost = Instant::now();
        backend.cut();
        within(DEADLINE, connected()).await;
        let pause = lost.elapsed();
        assert_eq!(pause < Duration::from_millis(250), soon, "{pause:?} after {lasts} s");
    }
}

/// Otherwise the next heartbeat is always due first, and evictions are never sent by a node that is well.
#[tokio::test(start_paused = true)]
async fn evictions_go_out_between_heartbeats_where_a_confirmation_takes_longer_than_a_beat() {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
    let registry = node().backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    backend.slow_down(Duration::from_millis(1_500));
    for key in 0..10 {
        users.evict(&key);
        let sent = async {
            while !registry.status().outbox.is_empty() {
                clock.advance(Duration::from_millis(100));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), sent).await.expect("it is sent in time");
    }
    assert_eq!(registry.stats().sessions, 1);
    assert!(registry.status().lease_left > Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_yet_to_be_sent_renews_no_lease() {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
    let registry = node().backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    eventually(DEADLINE, || !backend.published().is_empty()).await;
    let heartbeat = codec::decode(&backend.published()[0].body).unwrap();
    backend.take_messages(false);
    let forged = Frame { operation: Operation::Heartbeat { at: u64::MAX / 2 }, ..heartbeat };
    backend.inject(Format::Frame, None, codec::encode(&forged));
    backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "keys": [2]}"#);
    eventually(DEADLINE, || registry.stats().json_applied == 1).await;
    assert!(registry.status().lease_left <= Some(Duration::from_secs(10)));
}

#[tokio::test]
async fn a_session_that_took_longer_than_the_lease_to_open_serves_nothing_before_its_first_heartbeat() {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
    let slow = Slow { backend: backend.clone(), clock: clock.clone() };
    backend.take_messages(false);
    let registry = node().backend(slow).lease(Duration::from_secs(10)).clock(clock).start().await.unwrap();
    assert_eq!(registry.status().lease_left, Some(Duration::ZERO), "it began before the attempt");
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "old").await;
    assert_eq!(users.get(&1), None);
    backend.take_messages(true);
    eventually(DEADLINE, || registry.status().lease_left == Some(Duration::from_secs(10))).await;
}

/// A backend that takes as long as a lease to connect.
struct Slow {
    backend: FaultyBackend,
    clock: ManualClock,
}

impl Backend for Slow {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        self.clock.advance(Duration::from_secs(10));
        self.backend.connect(interest, resume)
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_first_heartbeat_does_not_come_back_ends() {
    let hub = MemoryBackend::new();
    let backend = FaultyBackend::new(&hub);
    backend.take_messages(false);
    let registry = node().backend(backend).start().await.unwrap();
    eventually(DEADLINE, || registry.stats().sessions == 2).await;
}

#[tokio::test]
async fn nothing_but_its_own_heartbeat_renews_a_nodes_lease() {
    let hub = MemoryBackend::new();
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&hub));
    let registry = node().backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "old").await;
    eventually(DEADLINE, || registry.stats().frames_sent == 1).await;
    backend.take_messages(false);
    let another = Frame { cache: None, operation: Operation::Heartbeat { at: u64::MAX / 2 }, ..users_frame() };
    clock.advance(Duration::from_secs(9));
    backend.inject(Format::Frame, None, codec::encode(&another));
    backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "keys": [2]}"#);
    eventually(DEADLINE, || registry.stats().json_applied == 1).await;
    assert_eq!(users.get(&1).as_deref(), Some("old"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(users.get(&1), None);
    let status = registry.status().coherence;
    assert!(matches!(status, Coherence::Partitioned { .. }), "although the session is open: {status:?}");
}

#[tokio::test]
async fn a_lazy_start_serves_nothing_before_the_first_session_and_everything_after() {
    let hub = MemoryBackend::new();
    let backend = FaultyBackend::new(&hub);
    backend.refuse(Some("nobody is there"));
    let error = node().backend(backend.clone()).start().await.unwrap_err();
    assert!(error.is_backend());
    assert_eq!(error.to_string(), "nobody is there");

    let registry = node().backend(backend.clone()).start_lazy().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    assert_eq!(load(&users, 1, "one").await, "one");
    assert_eq!(load(&users, 1, "two").await, "two");
    assert!(matches!(registry.status().coherence, Coherence::Partitioned { .. }));

    backend.refuse(None);
    eventually(DEADLINE, || matches!(registry.status().coherence, Coherence::Coherent { .. })).await;
    load(&users, 1, "three").await;
    assert_eq!(load(&users, 1, "four").await, "three");
}

#[tokio::test]
async fn a_frame_that_is_missing_clears_the_cache_that_it_concerned() {
    let (here, _there) = pair().await;
    load(&here.users, 1, "kept").await;
    let send = |sequence| {
        let frame = Frame {
            sequence,
            shape: KeyShape::of::<u64>(),
            operation: Operation::Keys(vec![codec::encode_key(&99u64).unwrap()]),
            ..users_frame()
        };
        here.backend.inject(Format::Frame, Some("users"), codec::encode(&frame));
    };
    send(1);
    send(2);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 2).await;
    assert_eq!(here.users.get(&1).as_deref(), Some("kept"));
    send(4);
    eventually(DEADLINE, || here.users.stats().evicted_by_others == 3).await;
    assert_eq!(here.users.get(&1), None);
    assert_eq!(here.users.stats().cleared, 1);
}
