//! The outbox and its hand-over to sessions (rule R7): nothing is lost, nothing is confirmed that was not taken, and what
//! was not confirmed goes out first.

use std::{sync::Mutex, time::Duration};

use cachesync_core::{
    BackendError, BackendErrorKind, BoxFuture, Publisher,
    backend::Message,
    codec,
    frame::{Frame, Operation},
};
use shuttle::{
    future::{block_on, yield_now},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};
use tokio::sync::{Notify, watch};

use super::{check, check_large, world::World};
use crate::engine::{outbox::NEVER, publisher::Sender};

const BEFORE: u8 = 1;
const AFTER: u8 = 2;

/// What a broker has taken, and what befalls its sessions.
#[derive(Default)]
pub(super) struct Broker {
    taken: Mutex<Vec<Frame>>,
    /// The next publish fails, before the broker has taken it, or after.
    fails: AtomicU8,
    /// The session is lost, whatever is going on.
    lost: Notify,
    /// The registry ends.
    ends: watch::Sender<bool>,
}

impl Broker {
    fn taken(&self) -> Vec<Frame> {
        self.taken.lock().unwrap().clone()
    }

    /// Whether it has taken the eviction of this key.
    fn has(&self, key: u64) -> bool {
        let key = codec::encode_key(&key).unwrap();
        self.taken().iter().any(|frame| match &frame.operation {
            Operation::All => true,
            Operation::Keys(keys) => keys.contains(&key),
            _ => false,
        })
    }

    /// One session after the other, until the registry ends.
    fn serve(self: &Arc<Self>, world: &World) {
        let mut sender = Sender::new(world.node.clone(), Duration::from_secs(1));
        block_on(async {
            loop {
                sender.begin_session();
                let mut link = Link(self.clone());
                let mut ends = self.ends.subscribe();
                let ending = async { _ = ends.wait_for(|ends| *ends).await };
                tokio::select! {
                    biased;
                    () = self.lost.notified() => {}
                    sent = sender.send(&mut link, ending) => if sent.is_ok() {
                        break;
                    },
                }
            }
        });
        world.node.close();
    }
}

struct Link(Arc<Broker>);

impl Publisher for Link {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async {
            let fails = self.0.fails.swap(0, Ordering::SeqCst);
            let lost = || BackendError::new(BackendErrorKind::Lost, "the session is lost");
            if fails == BEFORE {
                return Err(lost());
            }
            self.0.taken.lock().unwrap().extend(messages.iter().map(|message| codec::decode(&message.body).unwrap()));
            yield_now().await;
            if fails == AFTER { Err(lost()) } else { Ok(()) }
        })
    }
}

/// Evicts these keys one after the other, and tells for each whether it was in time.
fn evict(world: &World, broker: &Broker, keys: &[u64]) -> Vec<(u64, bool)> {
    let outbox = world.node.outbox.as_ref().unwrap();
    let queued: Vec<_> =
        keys.iter().map(|key| (*key, world.node.evict(&world.slot, key, Duration::ZERO).unwrap().ticket)).collect();
    let confirmed = |(key, ticket)| {
        let confirmed = block_on(outbox.confirmed(ticket)).is_ok();
        assert_eq!(confirmed, ticket != NEVER, "what is in time is confirmed, and nothing else");
        assert!(!confirmed || broker.has(key), "confirmed, and not taken");
        (key, confirmed)
    };
    queued.into_iter().map(confirmed).collect()
}

/// Some who evict, and a broker with a mishap.
pub(super) fn send<const N: usize>(keys: [&'static [u64]; N], mishap: fn(&Broker)) {
    let (world, broker) = (World::with_backend(), Arc::new(Broker::default()));
    let engine = {
        let broker = broker.clone();
        world.spawn(move |world| broker.serve(world))
    };
    let writers = keys.map(|keys| {
        let broker = broker.clone();
        world.spawn(move |world| evict(world, &broker, keys))
    });
    mishap(&broker);
    let evicted = writers.map(|writer| writer.join().unwrap());
    broker.ends.send_replace(true);
    engine.join().unwrap();
    assert!(evicted.iter().flatten().all(|(_, confirmed)| *confirmed));
    assert_in_order(&broker);
}

/// The same while the registry ends.
fn end() {
    let (world, broker) = (World::with_backend(), Arc::new(Broker::default()));
    let engine = {
        let broker = broker.clone();
        world.spawn(move |world| broker.serve(world))
    };
    let writer = {
        let broker = broker.clone();
        world.spawn(move |world| evict(world, &broker, &[1, 2]))
    };
    broker.ends.send_replace(true);
    writer.join().unwrap();
    engine.join().unwrap();
    assert_in_order(&broker);
}

/// What was encoded earlier was first sent earlier.
fn assert_in_order(broker: &Broker) {
    let mut last = (0, 0);
    let mut seen = Vec::new();
    for frame in broker.taken() {
        let number = (frame.session, frame.sequence);
        if seen.contains(&number) {
            continue;
        }
        assert!(number > last, "{number:?} was first sent after {last:?}");
        last = number;
        seen.push(number);
    }
}

pub(super) fn unharmed(_: &Broker) {}

pub(super) fn not_taken(broker: &Broker) {
    broker.fails.store(BEFORE, Ordering::SeqCst);
}

pub(super) fn not_confirmed(broker: &Broker) {
    broker.fails.store(AFTER, Ordering::SeqCst);
}

pub(super) fn lost(broker: &Broker) {
    broker.lost.notify_one();
}

#[test]
fn every_push_wakes_the_engine_and_is_confirmed() {
    check_large(|| send([&[1], &[2]], unharmed));
}

#[test]
fn what_a_session_did_not_take_the_next_one_sends() {
    check(|| send([&[1, 2]], not_taken));
}

#[test]
fn what_was_taken_and_not_confirmed_is_sent_again() {
    check(|| send([&[1, 2]], not_confirmed));
}

#[test]
fn a_session_that_is_lost_in_the_middle_of_a_publish_loses_nothing() {
    check(|| send([&[1, 2]], lost));
}

#[test]
fn too_many_evictions_are_those_of_all() {
    check(|| send([&[1, 2, 3, 4, 5]], not_taken));
}

#[test]
fn at_the_end_what_was_in_time_is_sent_and_the_rest_is_told_so() {
    check(end);
}
