//! A backend that counts: the memory backend with a look at what goes through it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cachesync::memory::MemoryBackend;
use cachesync_core::{
    Backend, BackendError, BoxFuture, Publisher, Session, Subscriber,
    backend::{Delivery, Interest, Message, Position, Topic},
};

/// The memory backend, counting. Clones share the hub and the counts.
#[derive(Clone, Default)]
pub struct CountingBackend {
    hub: MemoryBackend,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    heartbeats: AtomicU64,
    delivered: AtomicU64,
    bytes: AtomicU64,
}

/// How many messages there were so far, over all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// To the broker, but for heartbeats.
    pub published: u64,
    /// Heartbeats to the broker.
    pub heartbeats: u64,
    /// From the broker, but for heartbeats.
    pub delivered: u64,
    /// Of the bodies of what was published, but for heartbeats.
    pub bytes: u64,
}

impl CountingBackend {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let Counters { published, heartbeats, delivered, bytes } = &*self.counters;
        let [published, heartbeats, delivered, bytes] =
            [published, heartbeats, delivered, bytes].map(|counter| counter.load(Ordering::Relaxed));
        Counts { published, heartbeats, delivered, bytes }
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            published: self.published - earlier.published,
            heartbeats: self.heartbeats - earlier.heartbeats,
            delivered: self.delivered - earlier.delivered,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

impl Backend for CountingBackend {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(async move {
            let Session { publisher, subscriber, resumed } = self.hub.connect(interest, resume).await?;
            let publisher = Box::new(CountingPublisher { inner: publisher, counters: self.counters.clone() });
            let subscriber = Box::new(CountingSubscriber { inner: subscriber, counters: self.counters.clone() });
            Ok(Session { publisher, subscriber, resumed })
        })
    }
}

struct CountingPublisher {
    inner: Box<dyn Publisher>,
    counters: Arc<Counters>,
}

impl Publisher for CountingPublisher {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        for message in messages {
            if matches!(message.topic, Topic::Heartbeat(_)) {
                self.counters.heartbeats.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counters.published.fetch_add(1, Ordering::Relaxed);
                self.counters.bytes.fetch_add(message.body.len() as u64, Ordering::Relaxed);
            }
        }
        self.inner.publish(messages)
    }
}

struct CountingSubscriber {
    inner: Box<dyn Subscriber>,
    counters: Arc<Counters>,
}

impl Subscriber for CountingSubscriber {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(async {
            let delivery = self.inner.next().await?;
            // A heartbeat has no cache.
            self.counters.delivered.fetch_add(u64::from(delivery.cache.is_some()), Ordering::Relaxed);
            Ok(delivery)
        })
    }
}
