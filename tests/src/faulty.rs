//! A backend that goes wrong when told to: the memory backend behind a switch.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use cachesync::memory::MemoryBackend;
use cachesync_core::{
    Backend, BackendError, BackendErrorKind, BoxFuture, Name, Publisher, Session, Subscriber,
    backend::{Delivery, Format, Interest, Message, Position, Topic},
};
use tokio::sync::{mpsc, watch};

use crate::gate::Gate;

/// The memory backend, with faults. Clones are the same; give each node its own.
#[derive(Clone)]
pub struct FaultyBackend {
    switches: Arc<Switches>,
}

struct Switches {
    hub: Mutex<MemoryBackend>,
    /// Why connecting fails.
    refusing: Mutex<Option<String>>,
    /// Counts up when sessions are cut.
    cuts: watch::Sender<u64>,
    /// The same for their sending halves alone.
    publisher_cuts: watch::Sender<u64>,
    /// Whether publishing is taken; while it is not, it waits.
    taking: watch::Sender<bool>,
    /// Whether what comes is delivered; while it is not, it waits.
    delivering: watch::Sender<bool>,
    /// What is not delivered.
    losing: Mutex<Option<Losing>>,
    injected: Mutex<Vec<mpsc::UnboundedSender<Delivery>>>,
    published: Mutex<Vec<Message>>,
    /// What waits to be taken.
    waiting: Mutex<Vec<Message>>,
    /// How long each message takes.
    each: Mutex<Duration>,
    /// Where the goodbye stops, if it does.
    goodbye: Mutex<Option<Gate>>,
}

impl FaultyBackend {
    /// A backend on this hub, without faults so far.
    pub fn new(hub: &MemoryBackend) -> Self {
        let switches = Switches {
            hub: Mutex::new(hub.clone()),
            refusing: Mutex::default(),
            cuts: watch::Sender::new(0),
            publisher_cuts: watch::Sender::new(0),
            taking: watch::Sender::new(true),
            delivering: watch::Sender::new(true),
            losing: Mutex::default(),
            injected: Mutex::default(),
            published: Mutex::default(),
            waiting: Mutex::default(),
            each: Mutex::default(),
            goodbye: Mutex::default(),
        };
        Self { switches: Arc::new(switches) }
    }

    /// The next session is one with this hub.
    pub fn move_to(&self, hub: &MemoryBackend) {
        *lock(&self.switches.hub) = hub.clone();
    }

    /// Ends every session of this node.
    pub fn cut(&self) {
        self.switches.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends every session of this node by an error of its sending half; the receiving half notices nothing.
    pub fn cut_publisher(&self) {
        self.switches.publisher_cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on connecting fails, with this text; or no longer, with `None`.
    pub fn refuse(&self, why: Option<&str>) {
        *lock(&self.switches.refusing) = why.map(str::to_owned);
    }

    /// Whether publishing is taken; while it is not, it waits.
    pub fn take_messages(&self, taking: bool) {
        self.switches.taking.send_replace(taking);
    }

    /// Whether what comes is delivered; while it is not, it waits.
    pub fn deliver(&self, delivering: bool) {
        self.switches.delivering.send_replace(delivering);
    }

    /// Loses the next message to this cache, or the next heartbeat with `None`, while the session goes on.
    pub fn lose_next(&self, cache: Option<&str>) {
        let cache = cache.map(|cache| Name::new(cache).expect("a valid name"));
        *lock(&self.switches.losing) = Some(Losing { cache });
    }

    /// Whether what was to be lost is lost.
    pub fn has_lost(&self) -> bool {
        lock(&self.switches.losing).is_none()
    }

    /// Delivers something to this node's session as if it had come from the broker.
    pub fn inject(&self, format: Format, cache: Option<&str>, body: impl Into<Vec<u8>>) {
        let cache = cache.map(|cache| Name::new(cache).expect("a valid name"));
        let delivery = Delivery { body: body.into(), format, cache, position: None };
        lock(&self.switches.injected).retain(|session| session.send(delivery.clone()).is_ok());
    }

    /// From now on each message takes this long.
    pub fn slow_down(&self, each: Duration) {
        *lock(&self.switches.each) = each;
    }

    /// From now on a goodbye stops at this gate.
    pub fn stop_goodbyes_at(&self, gate: &Gate) {
        *lock(&self.switches.goodbye) = Some(gate.clone());
    }

    /// Whether a message to this cache waits to be taken.
    pub fn holds_back(&self, cache: &str) -> bool {
        let waits = |message: &Message| matches!(&message.topic, Topic::Cache(name) if name.as_str() == cache);
        lock(&self.switches.waiting).iter().any(waits)
    }

    /// What this node published and saw confirmed so far.
    pub fn published(&self) -> Vec<Message> {
        lock(&self.switches.published).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it was held")
}

fn lost() -> BackendError {
    BackendError::new(BackendErrorKind::Lost, "the test cut the session")
}

impl Backend for FaultyBackend {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(async move {
            if let Some(why) = lock(&self.switches.refusing).clone() {
                return Err(BackendError::new(BackendErrorKind::Unreachable, why));
            }
            let hub = lock(&self.switches.hub).clone();
            let Session { publisher, subscriber, resumed } = hub.connect(interest, resume).await?;
            let (sender, injected) = mpsc::unbounded_channel();
            lock(&self.switches.injected).push(sender);
            let cut = Cut::by(&self.switches.cuts);
            let own_cut = Cut::by(&self.switches.publisher_cuts);
            let publisher =
                FaultyPublisher { inner: publisher, switches: self.switches.clone(), cut: cut.clone(), own_cut };
            let subscriber = FaultySubscriber { inner: subscriber, switches: self.switches.clone(), injected, cut };
            Ok(Session { publisher: Box::new(publisher), subscriber: Box::new(subscriber), resumed })
        })
    }
}

/// A delivery that is to be lost.
struct Losing {
    /// `None` for a heartbeat.
    cache: Option<Name>,
}

#[derive(Clone)]
struct Cut {
    cuts: watch::Receiver<u64>,
    seen: u64,
}

impl Cut {
    fn by(cuts: &watch::Sender<u64>) -> Self {
        Self { cuts: cuts.subscribe(), seen: *cuts.borrow() }
    }

    async fn happens(&mut self) {
        let seen = self.seen;
        // An error means that the backend is gone, and so is the session.
        _ = self.cuts.wait_for(|cuts| *cuts > seen).await;
    }
}

struct FaultyPublisher {
    inner: Box<dyn Publisher>,
    switches: Arc<Switches>,
    cut: Cut,
    own_cut: Cut,
}

impl Publisher for FaultyPublisher {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut taking = self.switches.taking.subscribe();
            *lock(&self.switches.waiting) = messages.to_vec();
            let cut = tokio::select! {
                biased;
                () = self.cut.happens() => true,
                () = self.own_cut.happens() => true,
                _ = taking.wait_for(|taking| *taking) => false,
            };
            lock(&self.switches.waiting).clear();
            if cut {
                return Err(lost());
            }
            let each = *lock(&self.switches.each);
            if !each.is_zero() {
                tokio::time::sleep(each * u32::try_from(messages.len()).expect("few")).await;
            }
            self.inner.publish(messages).await?;
            lock(&self.switches.published).extend_from_slice(messages);
            Ok(())
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let gate = lock(&self.switches.goodbye).clone();
            if let Some(gate) = gate {
                gate.pass().await;
            }
        })
    }
}

struct FaultySubscriber {
    inner: Box<dyn Subscriber>,
    switches: Arc<Switches>,
    injected: mpsc::UnboundedReceiver<Delivery>,
    cut: Cut,
}

impl Subscriber for FaultySubscriber {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        let Self { inner, switches, injected, cut } = self;
        Box::pin(async move {
            let mut delivering = switches.delivering.subscribe();
            let next = async {
                loop {
                    _ = delivering.wait_for(|delivering| *delivering).await;
                    let delivery = inner.next().await?;
                    let is_lost = |losing: &mut Losing| losing.cache == delivery.cache;
                    if lock(&switches.losing).take_if(is_lost).is_none() {
                        return Ok(delivery);
                    }
                }
            };
            tokio::select! {
                biased;
                () = cut.happens() => Err(lost()),
                Some(delivery) = injected.recv() => Ok(delivery),
                delivery = next => delivery,
            }
        })
    }
}
