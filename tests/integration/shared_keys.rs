//! Shared keys: another tenant of the broker, who may write and read there, can neither evict nor play back; and nothing is
//! lost by what is refused.

mod dates;
mod exchange;

use std::{num::NonZeroUsize, time::Duration};

use cachesync::{Cache, ManualClock, RefusedStats, Registry, SharedKeys, memory::MemoryBackend};
use cachesync_core::{
    Backend, Name, Session,
    backend::{Caches, Format, Interest, Message, Topic},
    codec,
    frame::{Frame, NodeId, Operation},
    mac::MacKey,
};
use cachesync_tests::{faulty::FaultyBackend, patient, wait::eventually};

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
        let mut builder = patient::registry(node().backend(backend.clone()).clock(clock.clone()));
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
    let past_the_lease = patient::LEASE + Duration::from_secs(1);
    here.clock.advance(past_the_lease);
    let at = u64::try_from(past_the_lease.as_nanos()).unwrap();
    let late = Frame { sequence: 50, operation: Operation::Heartbeat { at }, ..own.clone() };
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
