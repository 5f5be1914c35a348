//! A flood of messages of every kind, from peers without number: memory stays flat, the log stays quiet, and no cache is
//! made for it.

use std::{sync::Arc, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use cachesync::{CacheConfig, Registry, UnknownCaches};
use cachesync_core::{
    Backend, BackendError, BoxFuture, Publisher, Session, Subscriber,
    backend::{Delivery, Format, Interest, Message, Position},
    codec,
    frame::{EncodedKey, Frame, NodeId, Operation},
    shape::KeyShape,
};
use tokio::sync::{Semaphore, watch};

use crate::lines::Lines;

const MESSAGES: u64 = 300_000;
const ROUNDS: u64 = 10;

/// A broker that delivers as many messages as it is told to, made up one by one, and takes all and forgets it.
#[derive(Clone)]
struct Flood {
    allowed: Arc<Semaphore>,
    delivered: watch::Sender<u64>,
}

struct Forgets;

impl Backend for Flood {
    fn connect(&self, _: Interest, _: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        let (publisher, subscriber) = (Box::new(Forgets), Box::new(self.clone()));
        Box::pin(std::future::ready(Ok(Session { publisher, subscriber, resumed: false })))
    }
}

impl Publisher for Forgets {
    fn publish<'a>(&'a mut self, _: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Subscriber for Flood {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(async {
            self.allowed.acquire().await.expect("never closed").forget();
            let mut number = 0;
            self.delivered.send_modify(|delivered| {
                number = *delivered;
                *delivered += 1;
            });
            Ok(message(number))
        })
    }
}

fn message(number: u64) -> Delivery {
    let name = |text: &str| text.parse().expect("a valid name");
    let key = |number: u64| codec::encode_key(&number).expect("short");
    // In order, of an origin that is heard again and again.
    let frame = Frame {
        origin: NodeId(7),
        session: 1,
        sequence: number / 10 + 1,
        sent_at: 0,
        hold: Duration::ZERO,
        cache: Some(name("users")),
        shape: KeyShape::of::<u64>(),
        operation: Operation::Keys(vec![key(number)]),
        authentication: None,
    };
    let frame = match number % 10 {
        0 => frame,
        // Of origins that come and go, 30,000 of them.
        1 => Frame { origin: NodeId(100 + u128::from(number)), ..frame },
        // As many sessions as frames, each heard from its midst on.
        2 => Frame { origin: NodeId(8), session: number, ..frame },
        // Held for an hour, every key by itself, and at first very many.
        3 => {
            let keys =
                (0..if number < MESSAGES / ROUNDS { 95 } else { 1 }).map(|more| key(number * 100 + more)).collect();
            Frame { origin: NodeId(9), hold: Duration::from_hours(1), operation: Operation::Keys(keys), ..frame }
        }
        // Tags that nobody carries.
        4 => Frame { origin: NodeId(10), operation: Operation::Tags(vec![format!("tag {number}")]), ..frame },
        // Key types that nobody has.
        5 => {
            let shape = KeyShape::from_wire(&format!("(foreign,{number})"));
            Frame { origin: NodeId(11), shape, ..frame }
        }
        // Keys that are none.
        6 => Frame { origin: NodeId(12), operation: Operation::Keys(vec![EncodedKey::from([255; 20])]), ..frame },
        // Caches that nobody has.
        7 | 8 => Frame { cache: Some(name(&format!("cache-{number}"))), origin: NodeId(13), ..frame },
        _ => {
            let garbage = [format!("garbage {number}"), format!(r#"{{"cache": "other-{number}", "all": true}}"#)];
            let [frame, json] = garbage;
            let (format, body) = if number % 20 == 9 { (Format::Frame, frame) } else { (Format::Json, json) };
            return Delivery { body: body.into_bytes(), format, cache: Some(name("users")), position: None };
        }
    };
    Delivery { body: codec::encode(&frame), format: Format::Frame, cache: frame.cache, position: None }
}

#[test]
fn a_flood_of_messages_of_every_kind_leaves_memory_flat_and_makes_no_cache() {
    let lines = Lines::default();
    let _logged = tracing::subscriber::set_default(lines.clone());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("starts");
    let flood = Flood { allowed: Arc::new(Semaphore::new(0)), delivered: watch::Sender::new(0) };
    let registry = runtime.block_on(async {
        let builder = Registry::builder().namespace("flood").cache(CacheConfig::new("users").capacity(1_000));
        // The functions of this program have caches of their own, which are made at the start.
        let created = UnknownCaches::Create(CacheConfig::new("any"));
        builder.unknown_caches(created).backend(flood.clone()).start().await.expect("starts")
    });
    let caches = registry.describe().caches.len();
    let users = registry.cache::<u64, u64>("users").expect("configured");

    let mut live = 0;
    let mut samples = Vec::new();
    for round in 1..=ROUNDS {
        let all = round * MESSAGES / ROUNDS;
        let AllocationInfo { bytes_current, bytes_max, .. } = measure(|| {
            runtime.block_on(async {
                flood.allowed.add_permits(usize::try_from(MESSAGES / ROUNDS).expect("fewer"));
                let mut delivered = flood.delivered.subscribe();
                for key in 0.. {
                    if *delivered.borrow_and_update() == all {
                        break;
                    }
                    users.get_with(key % 5_000, async || key).await;
                    tokio::task::yield_now().await;
                }
            });
        });
        let peak = live + i64::try_from(bytes_max).expect("fewer");
        live += bytes_current;
        samples.push((live, peak));
    }
    println!("{samples:?} {:?}", lines.counts());
    let early = samples[..3].iter().map(|(live, _)| *live).max().expect("some");
    let late = samples[3..].iter().map(|(live, _)| *live).max().expect("some");
    assert!(late - early < 64 << 10, "it grows by {} bytes: {samples:?}", late - early);
    assert!(samples.iter().all(|(_, peak)| *peak < 64 << 20), "at its peak it is large: {samples:?}");

    assert_eq!(registry.stats().sessions, 1, "the session goes on");
    assert_eq!(registry.describe().caches.len(), caches, "nobody else makes caches here");
    assert!(registry.status().problems.len() <= 33, "{:?}", registry.status().problems);
    let (errors, warnings, infos) = lines.counts();
    assert!(errors <= 33 && warnings <= 60 && infos == 0, "{lines:?}");
}
