//! The in-process backend: nodes of one process that share a hub.
//!
//! For tests, for examples, and for several registries in one process. It is as strict as the contract demands:
//! messages are delivered in one order to every session that wants them, and a session that is dropped is forgotten. So is
//! one that has not taken its messages for long: what waits for a session is bounded, and nothing of it is dropped while the
//! session goes on. A hub may [keep messages](MemoryBackend::replaying), so that sessions can resume.

mod log;

use std::{
    collections::VecDeque,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cachesync_core::{
    Backend, BackendError, BackendErrorKind, BoxFuture, Name, Publisher, Session, Subscriber,
    backend::{Caches, Delivery, Interest, Message, Position, Topic},
};
use log::{Log, Numbered};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The most messages that wait for a session.
const MAX_WAITING: usize = 65_536;

/// A hub that connects the registries of one process. Clones share it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use cachesync::{CacheConfig, Registry, memory::MemoryBackend};
///
/// let hub = MemoryBackend::new();
/// let node = || Registry::builder().namespace("shop").cache(CacheConfig::new("users")).backend(hub.clone()).start();
/// let (one, other) = (node().await?, node().await?);
///
/// other.cache::<u64, &str>("users")?.insert(1, "Ada");
/// one.cache::<u64, &str>("users")?.evict(&1);
/// # one.flush().await?;
/// # while other.stats().frames_applied == 0 { tokio::task::yield_now().await }
/// // A moment later:
/// assert_eq!(other.cache::<u64, &str>("users")?.get(&1), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryBackend {
    hub: Arc<Mutex<Hub>>,
}

/// Under one lock: every session sees the messages in the order of the log.
#[derive(Default)]
struct Hub {
    members: Vec<Member>,
    log: Log,
}

/// One session that is subscribed.
struct Member {
    interest: Interest,
    inbox: Sender<Arc<Numbered>>,
}

impl MemoryBackend {
    /// A new hub, without anybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new hub that keeps the last `messages` of each namespace, heartbeats among them, so that a node which has lost
    /// its session and missed no more than that resumes and clears nothing.
    ///
    /// They are in memory, and at most [`MAX_FRAME_BYTES`](cachesync_core::codec::MAX_FRAME_BYTES) long.
    pub fn replaying(messages: NonZeroUsize) -> Self {
        let hub = Hub { members: Vec::new(), log: Log::keeping(messages) };
        Self { hub: Arc::new(Mutex::new(hub)) }
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("sessions", &self.hub().members.len()).finish()
    }
}

impl Backend for MemoryBackend {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        let (inbox, live) = channel(MAX_WAITING);
        let publisher = HubPublisher { backend: self.clone(), namespace: interest.namespace.clone() };
        let mut hub = self.hub();
        // Under the lock: a message is either in the log now, or will be in the inbox, and never in both.
        let missed = resume.and_then(|position| hub.log.after(&position, &interest));
        hub.members.retain(|member| !member.inbox.is_closed());
        hub.members.push(Member { interest, inbox });
        drop(hub);
        let resumed = missed.is_some();
        let subscriber = Inbox { missed: missed.unwrap_or_default(), live };
        let session = Session { publisher: Box::new(publisher), subscriber: Box::new(subscriber), resumed };
        Box::pin(std::future::ready(Ok(session)))
    }
}

fn wants(interest: &Interest, namespace: &Name, topic: &Topic) -> bool {
    interest.namespace == *namespace
        && match (topic, &interest.caches) {
            (Topic::Heartbeat(node), _) => *node == interest.node,
            (Topic::Cache(_), Caches::All) => true,
            (Topic::Cache(cache), Caches::Named(caches)) => caches.contains(cache),
        }
}

struct HubPublisher {
    backend: MemoryBackend,
    namespace: Name,
}

impl Publisher for HubPublisher {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        let mut hub = self.backend.hub();
        let Hub { members, log } = &mut *hub;
        for message in messages {
            let numbered = log.add(&self.namespace, message);
            members.retain(|member| {
                // A session that has ended wants nothing any more. One that is full of what it does not take misses this,
                // so it ends when it has taken the rest.
                !wants(&member.interest, &self.namespace, &message.topic)
                    || member.inbox.try_send(numbered.clone()).is_ok()
            });
        }
        drop(hub);
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Inbox {
    /// What came before this session; all of it goes ahead of what comes in it.
    missed: VecDeque<Arc<Numbered>>,
    live: Receiver<Arc<Numbered>>,
}

impl Subscriber for Inbox {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(async {
            // What was missed would never be pending, and starve its neighbours.
            tokio::task::coop::consume_budget().await;
            if let Some(missed) = self.missed.pop_front() {
                return Ok(missed.delivery());
            }
            let gone = || BackendError::new(BackendErrorKind::Lost, "the hub has forgotten this session");
            Ok(self.live.recv().await.ok_or_else(gone)?.delivery())
        })
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::frame::NodeId;

    use super::*;

    async fn session(hub: &MemoryBackend) -> Session {
        let cache = Name::new("users").unwrap();
        let interest = Interest {
            namespace: Name::new("test").unwrap(),
            node_name: "node".into(),
            node: NodeId::random(),
            caches: Caches::Named(vec![cache]),
        };
        hub.connect(interest, None).await.unwrap()
    }

    #[tokio::test]
    async fn a_session_that_takes_nothing_ends_and_the_others_go_on() {
        let hub = MemoryBackend::new();
        let (mut sends, mut stuck) = (session(&hub).await, session(&hub).await);
        let message = [Message { topic: Topic::Cache(Name::new("users").unwrap()), body: vec![1] }];
        for _ in 0..=MAX_WAITING {
            sends.publisher.publish(&message).await.unwrap();
            sends.subscriber.next().await.unwrap();
        }
        assert_eq!(hub.hub().members.len(), 1);
        for _ in 0..MAX_WAITING {
            stuck.subscriber.next().await.unwrap();
        }
        assert_eq!(stuck.subscriber.next().await.unwrap_err().kind(), BackendErrorKind::Lost);
    }
}
