//! Shared keys: another tenant of the broker, who may write and read there, can neither evict nor play back; and nothing is
//! lost by what is refused.

use std::{num::NonZeroUsize, time::Duration};

use cachesync::{Cache, ManualClock, RefusedStats, Registry, SharedKeys, memory::MemoryBackend};
use cachesync_core::{
    Backend, Name, Session,
    backend::{Caches, Format, Interest, Message, Topic},
    codec,
    frame::{Frame, NodeId, Operation},
    mac::MacKey,
};
use cachesync_tests::{faulty::FaultyBackend, wait::eventually};

use crate::nodes::{DEADLINE, load, node, settled, users_frame};

const SECRET: [u8; 32] = [1; 32];
const NEXT_SECRET: [u8; 32] = [2; 32];
const WINDOW: Duration = Duration::from_mins(5);

pub(crate) fn keys() -> SharedKeys {
    SharedKeys::new(1, SECRET).unwrap()
}

struct Node {
    registry: Registry,
    users: Cache<u64, String>,
    backend: FaultyBackend,
    clock: ManualClock,
}

impl Node {
    async fn on(hub: &MemoryBackend, keys: impl Into<Option<SharedKeys>>) -> Self {
        Self::at(hub, keys, &ManualClock::new()).await
    }

    /// One whose clock shows this time.
    async fn at(hub: &MemoryBackend, keys: impl Into<Option<SharedKeys>>, clock: &ManualClock) -> Self {
        let backend = FaultyBackend::new(hub);
        let mut builder = node().backend(backend.clone()).clock(clock.clone());
        if let Some(keys) = keys.into() {
            builder = builder.shared_keys(keys);
        }
        let registry = builder.start().await.unwrap();
        let users = registry.cache("users").unwrap();
        // The first heartbeat.
        eventually(DEADLINE, || !backend.published().is_empty()).await;
        Self { registry, users, backend, clock: clock.clone() }
    }

    /// Evicts this key, and waits until the other node has.
    async fn evict_on(&self, other: &Self, key: u64) {
        other.users.insert(key, "old".into());
        other.registry.flush().await.unwrap();
        eventually(DEADLINE, || other.users.get(&key).is_some()).await;
        // The insert evicts, too.
        self.registry.flush().await.unwrap();
        let before = other.users.stats().evicted_by_others;
        self.users.evict(&key);
        eventually(DEADLINE, || other.users.stats().evicted_by_others > before).await;
        assert_eq!(other.users.get(&key), None);
    }

    fn evicted(&self) -> (u64, u64, u64) {
        let (stats, users) = (self.registry.stats(), self.users.stats());
        (users.evicted_by_others, users.cleared, stats.gaps)
    }

    async fn expect_refused(&self, count: impl Fn(&RefusedStats) -> u64, expected: u64) {
        eventually(DEADLINE, || count(&self.registry.stats().refused) == expected).await;
    }

    /// What it has published and seen confirmed of `users`, as it went out.
    fn recorded(&self) -> Vec<Message> {
        let of_users = |message: &Message| matches!(message.topic, Topic::Cache(_));
        self.backend.published().into_iter().filter(of_users).collect()
    }
}

/// Somebody else who may write to the broker, and read.
struct Tenant(Session);

impl Tenant {
    async fn on(hub: &MemoryBackend) -> Self {
        let interest = Interest {
            namespace: Name::new("test").unwrap(),
            node_name: "tenant".into(),
            node: NodeId::random(),
            caches: Caches::All,
        };
        Self(hub.connect(interest, None).await.unwrap())
    }

    async fn publish(&mut self, messages: &[Message]) {
        self.0.publisher.publish(messages).await.unwrap();
    }
}

fn message(body: Vec<u8>) -> Message {
    Message { topic: Topic::Cache(Name::new("users").unwrap()), body }
}

fn sign(key: &MacKey, namespace: &str, frame: &Frame, sent_at: u64) -> Vec<u8> {
    key.sign(&Name::new(namespace).unwrap(), &codec::encode(frame), sent_at).unwrap()
}

fn now() -> u64 {
    u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn nodes_that_share_a_key_evict_on_each_other_and_refuse_nothing() {
    let hub = MemoryBackend::new();
    let (here, there) = (Node::on(&hub, keys()).await, Node::on(&hub, keys()).await);
    for key in 0..20 {
        there.evict_on(&here, key).await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    for node in [&here, &there] {
        let stats = node.registry.stats();
        assert_eq!((stats.refused, stats.unsigned, stats.gaps, stats.sessions), (RefusedStats::default(), 0, 0, 1));
        assert!(node.registry.status().problems.is_empty());
        let read = |message: &Message| codec::decode(&message.body).unwrap().authentication.is_some();
        assert!(node.backend.published().iter().all(read), "heartbeats and trailers too");
    }
}

#[tokio::test]
async fn what_is_not_authentic_changes_nothing_and_is_counted_by_its_kind() {
    let hub = MemoryBackend::new();
    let here = Node::on(&hub, keys()).await;
    load(&here.users, 1, "kept").await;
    let key = MacKey::new(1, &SECRET).unwrap();
    let good = || sign(&key, "test", &users_frame(), now());
    let send = |cache: Option<&str>, body: Vec<u8>| here.backend.inject(Format::Frame, cache, body);

    send(Some("users"), codec::encode(&users_frame()));
    here.expect_refused(|refused| refused.unsigned, 1).await;
    for garbage in [&b"garbage"[..], b"", b"\xC5\x01\x01"] {
        send(None, garbage.to_vec());
    }
    here.expect_refused(|refused| refused.malformed, 3).await;
    send(Some("users"), sign(&MacKey::new(9, &SECRET).unwrap(), "test", &users_frame(), now()));
    here.expect_refused(|refused| refused.unknown_key, 1).await;
    send(Some("users"), sign(&MacKey::new(1, &NEXT_SECRET).unwrap(), "test", &users_frame(), now()));
    send(Some("users"), sign(&key, "another", &users_frame(), now()));
    let mut tampered = good();
    *tampered.last_mut().unwrap() ^= 1;
    send(Some("users"), tampered);
    here.expect_refused(|refused| refused.forged, 3).await;
    send(Some("roles"), good());
    // Another's heartbeat.
    let heartbeat = Frame { cache: None, operation: Operation::Heartbeat { at: 1 }, ..users_frame() };
    send(None, sign(&key, "test", &heartbeat, now()));
    here.expect_refused(|refused| refused.misaddressed, 2).await;
    for body in [&b"{"[..], br#"{"cache": "users", "all": true}"#] {
        here.backend.inject(Format::Json, Some("users"), body);
    }
    here.expect_refused(|refused| refused.unsigned, 3).await;

    assert_eq!((here.evicted(), here.users.len()), ((0, 0, 0), 1));
    let stats = here.registry.stats();
    assert_eq!((stats.bad_messages, stats.frames_applied, stats.json_applied, stats.sessions), (0, 0, 0, 1));
    send(Some("users"), good());
    eventually(DEADLINE, || here.users.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_can_pose_as_the_node_itself() {
    let hub = MemoryBackend::new();
    let here = Node::on(&hub, keys()).await;
    load(&here.users, 1, "kept").await;
    let own = codec::decode(&here.backend.published()[0].body).unwrap();
    // Without keys each of these clears everything, or renews the lease.
    let ahead = Frame { origin: own.origin, sequence: 1_000, ..users_frame() };
    here.backend.inject(Format::Frame, Some("users"), codec::encode(&ahead));
    here.expect_refused(|refused| refused.unsigned, 1).await;

    here.backend.take_messages(false);
    here.clock.advance(Duration::from_secs(11));
    let late = Frame { sequence: 50, operation: Operation::Heartbeat { at: 11_000_000_000 }, ..own.clone() };
    let forged = Frame { authentication: own.authentication, ..late.clone() };
    here.backend.inject(Format::Frame, None, codec::encode(&Frame { authentication: None, ..late }));
    here.backend.inject(Format::Frame, None, codec::encode(&forged));
    here.expect_refused(|refused| refused.unsigned + refused.forged, 3).await;
    assert_eq!(here.registry.status().lease_left, Some(Duration::ZERO));
    assert_eq!((here.evicted(), here.users.len()), ((0, 0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_cannot_be_played_back_neither_at_once_nor_in_a_later_session_nor_later() {
    let hub = MemoryBackend::new();
    let (here, there) = (Node::on(&hub, keys()).await, Node::on(&hub, keys()).await);
    let mut tenant = Tenant::on(&hub).await;
    for key in 1..=3 {
        there.evict_on(&here, key).await;
    }
    let recorded = there.recorded();
    assert!(recorded.len() >= 3);
    let mut refused = 0;
    for round in 0..4 {
        match round {
            1 | 2 => {
                let sessions = here.registry.stats().sessions;
                here.backend.cut();
                eventually(DEADLINE, || here.registry.stats().sessions > sessions).await;
            }
            3 => [&here, &there].iter().for_each(|node| node.clock.advance(2 * WINDOW)),
            _ => {}
        }
        eventually(DEADLINE, || here.registry.status().lease_left != Some(Duration::ZERO)).await;
        for key in 1..=3 {
            load(&here.users, key, "kept").await;
        }
        let before = here.evicted();
        tenant.publish(&recorded).await;
        // Its own messages played back to a node change nothing either.
        tenant.publish(&here.backend.published()).await;
        refused += recorded.len() as u64;
        here.expect_refused(|stats| stats.replayed, refused).await;
        settled().await;
        assert_eq!((here.evicted(), here.users.len()), (before, 3), "round {round}");
    }
    there.evict_on(&here, 1).await;
    assert_eq!((here.users.len(), here.registry.stats().gaps, there.registry.stats().gaps), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_just_started_can_be_told_each_recorded_eviction_once_within_the_window_and_not_later() {
    for late in [false, true] {
        let hub = MemoryBackend::new();
        let clock = ManualClock::new();
        let (before, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
        for key in 1..=3 {
            there.evict_on(&before, key).await;
        }
        let recorded = there.recorded();
        before.registry.shutdown().await.unwrap();
        clock.advance(if late { WINDOW + Duration::from_secs(1) } else { Duration::from_secs(1) });

        let here = Node::at(&hub, keys(), &clock).await;
        let mut tenant = Tenant::on(&hub).await;
        let fill = async || {
            for key in 1..=4 {
                load(&here.users, key, "kept").await;
            }
        };
        fill().await;
        // The first of them alone: the others are missing then.
        tenant.publish(&recorded[..1]).await;
        if late {
            here.expect_refused(|refused| refused.out_of_time, 1).await;
            tenant.publish(&recorded).await;
            here.expect_refused(|refused| refused.out_of_time, 1 + recorded.len() as u64).await;
            assert_eq!((here.evicted(), here.users.len()), ((0, 0, 0), 4));
        } else {
            eventually(DEADLINE, || here.users.len() == 3).await;
            fill().await;
            tenant.publish(&recorded[..1]).await;
            here.expect_refused(|refused| refused.replayed, 1).await;
            assert_eq!((here.evicted(), here.users.len()), ((1, 0, 0), 4), "once");
        }
        // What is sent now is not taken for the sign of a gap.
        let applied = here.users.stats().evicted_by_others;
        there.users.evict(&4);
        eventually(DEADLINE, || here.users.stats().evicted_by_others > applied).await;
        assert_eq!((here.users.stats().cleared, here.registry.stats().gaps, here.users.len()), (0, 0, 3), "{late}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_frame_is_noticed_with_keys_too() {
    let hub = MemoryBackend::new();
    let (here, there) = (Node::on(&hub, keys()).await, Node::on(&hub, keys()).await);
    there.evict_on(&here, 1).await;
    load(&here.users, 2, "old").await;
    here.backend.lose_next(Some("users"));
    there.users.evict(&2);
    eventually(DEADLINE, || here.backend.has_lost()).await;
    eventually(DEADLINE, || here.users.get(&2).is_none()).await;
    assert_eq!((here.users.stats().cleared, here.registry.stats().gaps), (1, 1));
}

/// As may be between two brokers of a cluster: the tenant's copy takes a shorter way.
#[tokio::test(start_paused = true)]
async fn a_copy_that_overtakes_frames_makes_none_of_them_be_refused() {
    let hub = MemoryBackend::new();
    let (here, there) = (Node::on(&hub, keys()).await, Node::on(&hub, keys()).await);
    here.backend.cut();
    here.backend.refuse(Some("away"));
    for key in 1..=3 {
        there.users.evict(&key);
        there.registry.flush().await.unwrap();
    }
    let frames = there.recorded();
    here.backend.refuse(None);
    eventually(DEADLINE, || here.registry.stats().sessions == 2).await;
    for key in 1..=3 {
        load(&here.users, key, "old").await;
    }
    let cleared = here.users.stats().cleared;
    for frame in [&frames[2], &frames[0], &frames[1], &frames[2]] {
        here.backend.inject(Format::Frame, Some("users"), frame.body.clone());
    }
    here.expect_refused(|refused| refused.replayed, 1).await;
    assert_eq!((here.users.len(), here.evicted()), (0, (3, cleared, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_longer_than_the_window_is_dated_when_it_goes_out() {
    let hub = MemoryBackend::new();
    let clock = ManualClock::new();
    let (here, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
    load(&here.users, 1, "old").await;
    // Encoded, and not confirmed; and one more in the outbox.
    there.backend.take_messages(false);
    there.users.evict(&1);
    eventually(DEADLINE, || there.backend.holds_back("users")).await;
    there.users.evict(&2);
    there.backend.refuse(Some("away"));
    there.backend.cut();
    for _ in 0..20 {
        clock.advance(WINDOW / 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    there.backend.take_messages(true);
    there.backend.refuse(None);
    let before = here.users.stats().evicted_by_others;
    there.registry.flush().await.unwrap();
    eventually(DEADLINE, || here.users.stats().evicted_by_others >= before + 2).await;
    assert_eq!((here.users.len(), here.registry.stats().refused), (0, RefusedStats::default()));
    let frames: Vec<_> = there.recorded().iter().map(|message| codec::decode(&message.body).unwrap()).collect();
    assert_eq!((frames[0].session, frames[0].sequence), (1, 1), "all else is as it was");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_resumes_after_longer_than_the_window_hears_all_that_it_missed_and_nothing_twice() {
    let hub = MemoryBackend::replaying(NonZeroUsize::new(10_000).unwrap());
    let clock = ManualClock::new();
    let (here, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
    there.evict_on(&here, 1).await;
    let known = there.recorded();
    for key in 1..=4 {
        load(&here.users, key, "old").await;
    }
    here.backend.refuse(Some("away"));
    here.backend.cut();
    // Of one that is known, and of one that has started meanwhile.
    there.users.evict(&2);
    there.registry.flush().await.unwrap();
    let newcomer = Node::at(&hub, keys(), &clock).await;
    newcomer.users.evict(&3);
    newcomer.registry.flush().await.unwrap();
    let mut tenant = Tenant::on(&hub).await;
    tenant.publish(&known).await;
    tenant.publish(&there.recorded()).await;
    for _ in 0..20 {
        clock.advance(WINDOW / 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    here.backend.refuse(None);
    eventually(DEADLINE, || here.registry.stats().resumed == 1).await;
    eventually(DEADLINE, || here.users.len() == 2).await;
    eventually(DEADLINE, || here.registry.status().lease_left != Some(Duration::ZERO)).await;
    assert_eq!((here.users.get(&1).as_deref(), here.users.get(&4).as_deref()), (Some("old"), Some("old")));
    let stats = here.registry.stats();
    assert_eq!((here.users.stats().cleared, stats.gaps, stats.refused.out_of_time), (0, 0, 0));
    assert!(stats.refused.replayed >= 2 * known.len() as u64, "{stats:?}");

    // Up to date again, dates count from now: of somebody unknown nothing old is believed.
    let key = MacKey::new(1, &SECRET).unwrap();
    tenant.publish(&[message(sign(&key, "test", &users_frame(), now()))]).await;
    here.expect_refused(|refused| refused.out_of_time, 1).await;
    assert_eq!(here.users.len(), 2);
}

/// All machines sleep, such as those of one host that is suspended: no session ends by that, so nothing is cleared.
#[tokio::test(start_paused = true)]
async fn what_was_under_way_while_all_slept_for_longer_than_the_window_is_no_playback() {
    let hub = MemoryBackend::new();
    let clock = ManualClock::new();
    let (here, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
    let mut tenant = Tenant::on(&hub).await;
    load(&here.users, 1, "old").await;
    load(&here.users, 2, "kept").await;
    here.backend.deliver(false);
    // One message more gets through.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The first that `there` evicts in this session, so its number says nothing.
    there.users.evict(&1);
    there.registry.flush().await.unwrap();
    assert_eq!(here.registry.stats().frames_applied, 0);
    clock.suspend(2 * WINDOW);
    here.backend.deliver(true);
    eventually(DEADLINE, || here.registry.status().lease_left != Some(Duration::ZERO)).await;
    assert_eq!(
        (here.users.len(), here.registry.stats().refused, here.registry.stats().sessions),
        (1, RefusedStats::default(), 1)
    );

    // Awake, dates count from now, and no heartbeat from before the sleep makes that earlier.
    let asleep = here.backend.published()[0].clone();
    tenant.publish(&[asleep]).await;
    let key = MacKey::new(1, &SECRET).unwrap();
    tenant.publish(&[message(sign(&key, "test", &users_frame(), now()))]).await;
    here.expect_refused(|refused| refused.out_of_time, 1).await;
    assert_eq!(here.users.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_are_exchanged_node_by_node_without_a_lost_eviction() {
    let hub = MemoryBackend::new();
    let old = || SharedKeys::new(1, SECRET).unwrap();
    let new = || SharedKeys::new(2, NEXT_SECRET).unwrap();
    let steps = [old(), old().accept(2, NEXT_SECRET).unwrap(), new().accept(1, SECRET).unwrap(), new()];
    let mut nodes = [Node::on(&hub, old()).await, Node::on(&hub, old()).await];
    for step in steps {
        for index in 0..2 {
            nodes[index] = Node::on(&hub, step.clone()).await;
            nodes[0].evict_on(&nodes[1], 7).await;
            nodes[1].evict_on(&nodes[0], 7).await;
            for node in &nodes {
                let refused = node.registry.stats().refused;
                assert_eq!((refused.unknown_key, refused.forged, refused.unsigned), (0, 0, 0), "{step:?}");
            }
        }
    }
    // And what the old key signs is worth nothing any more.
    let body = sign(&MacKey::new(1, &SECRET).unwrap(), "test", &users_frame(), now());
    nodes[0].backend.inject(Format::Frame, Some("users"), body);
    nodes[0].expect_refused(|refused| refused.unknown_key, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_its_first_keys_node_by_node_without_a_lost_eviction_and_knows_when_to_end_that() {
    let hub = MemoryBackend::new();
    let mut nodes = [Node::on(&hub, None).await, Node::on(&hub, None).await];
    for step in [keys().accept_unsigned(true), keys()] {
        for index in 0..2 {
            nodes[index] = Node::on(&hub, step.clone()).await;
            nodes[0].evict_on(&nodes[1], 7).await;
            nodes[1].evict_on(&nodes[0], 7).await;
            let refused = |node: &Node| node.registry.stats().refused.unsigned;
            assert_eq!((refused(&nodes[0]), refused(&nodes[1])), (0, 0));
        }
    }
    let here = Node::on(&hub, keys().accept_unsigned(true)).await;
    load(&here.users, 1, "kept").await;
    let problem = |texts: &[String]| texts.iter().any(|text| text.contains("unsigned messages are accepted"));
    assert!(problem(&here.registry.status().problems) && problem(&here.registry.describe().problems));
    assert!(here.registry.describe().to_string().contains("problem: unsigned messages"));
    // A wrong proof is worse than none.
    let forged = sign(&MacKey::new(1, &NEXT_SECRET).unwrap(), "test", &users_frame(), now());
    here.backend.inject(Format::Frame, Some("users"), forged);
    here.expect_refused(|refused| refused.forged, 1).await;
    assert_eq!((here.users.len(), here.registry.stats().unsigned), (1, 0));
    here.backend.inject(Format::Frame, Some("users"), codec::encode(&users_frame()));
    eventually(DEADLINE, || here.users.is_empty()).await;
    here.backend.inject(Format::Json, Some("users"), r#"{"cache": "users", "all": true}"#);
    eventually(DEADLINE, || here.registry.stats().unsigned == 2).await;
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_more_than_the_window_are_reported_and_by_less_do_not_matter() {
    for (ahead, told) in [(WINDOW.mul_f64(0.95), false), (WINDOW.mul_f64(1.05), true)] {
        let hub = MemoryBackend::new();
        let fast = ManualClock::new();
        fast.advance(ahead);
        let (here, there) = (Node::on(&hub, keys()).await, Node::at(&hub, keys(), &fast).await);
        load(&here.users, 1, "old").await;
        load(&there.users, 1, "old").await;
        here.users.evict(&1);
        there.users.evict(&1);
        for (node, direction) in [(&here, "future"), (&there, "past")] {
            let seen = || node.registry.stats().refused.out_of_time + node.users.stats().evicted_by_others;
            eventually(DEADLINE, || seen() == 1).await;
            assert_eq!(node.registry.stats().refused.out_of_time, u64::from(told));
            for problems in [node.registry.status().problems, node.registry.describe().problems] {
                assert_eq!(problems.len(), usize::from(told), "{problems:?}");
                let expected = |text: &String| text.contains("clocks differ") && text.contains(direction);
                assert!(problems.iter().all(expected), "{problems:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_window_that_does_not_suit_the_lease_is_refused() {
    let start = async |window| node().backend(MemoryBackend::new()).shared_keys(keys().window(window)).start().await;
    for window in [Duration::ZERO, Duration::from_secs(19), Duration::from_hours(49)] {
        let error = start(window).await.unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains("a window of"), "{error}");
    }
    start(Duration::from_secs(20)).await.unwrap();
}

/// Random bytes, forged frames and recorded ones, as fast as they are taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_evicts_nothing_and_hits_go_on() {
    let hub = MemoryBackend::new();
    let (here, there) = (Node::on(&hub, keys()).await, Node::on(&hub, keys()).await);
    for key in 1..=3 {
        there.evict_on(&here, key).await;
    }
    for key in 0..100 {
        load(&here.users, key, "kept").await;
    }
    here.registry.flush().await.unwrap();
    let mut flood: Vec<_> = there.recorded();
    let forged = MacKey::new(1, &NEXT_SECRET).unwrap();
    for number in 0..300u64 {
        let frame = Frame { sequence: number, origin: NodeId(number.into()), ..users_frame() };
        flood.push(message(codec::encode(&frame)));
        flood.push(message(sign(&forged, "test", &frame, now())));
        flood.push(message((0..number).map(|_| rand::random()).collect()));
        let mut own = codec::decode(&here.backend.published()[0].body).unwrap();
        (own.sequence, own.authentication) = (number + 10, None);
        flood.push(Message { topic: Topic::Heartbeat(own.origin), body: codec::encode(&own) });
    }
    let before = here.evicted();
    let mut tenant = Tenant::on(&hub).await;
    let mut sent = 0;
    while sent < 100_000 {
        tenant.publish(&flood).await;
        sent += flood.len();
        for key in 0..100 {
            assert_eq!(here.users.get(&key).as_deref(), Some("kept"));
        }
        // As fast as they are taken: a session of the memory backend that is behind by 65,536 ends.
        let refused = || {
            let refused = here.registry.stats().refused;
            refused.unsigned + refused.malformed + refused.forged + refused.replayed
        };
        eventually(DEADLINE, || usize::try_from(refused()).unwrap() + 10_000 >= sent).await;
        while let Ok(Ok(_)) = tokio::time::timeout(Duration::ZERO, tenant.0.subscriber.next()).await {}
    }
    there.registry.flush().await.unwrap();
    there.users.evict(&50);
    eventually(DEADLINE, || here.users.get(&50).is_none()).await;
    assert_eq!((here.evicted(), here.users.len()), ((before.0 + 1, before.1, before.2), 99));
    assert_eq!(here.registry.stats().sessions, 1);
}
