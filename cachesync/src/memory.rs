//! The in-process backend: nodes of one process that share a hub.
//!
//! For tests, for examples, and for several registries in one process. It is as strict as the contract demands:
//! messages are delivered in one order to every session that wants them, and a session that is dropped is forgotten. So is
//! one that has not taken its messages for long: what waits for a session is bounded, and nothing of it is dropped while the
//! session goes on.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cachesync_core::{
    Backend, BackendError, BackendErrorKind, BoxFuture, Name, Publisher, Session, Subscriber,
    backend::{Caches, Delivery, Format, Interest, Message, Position, Topic},
};
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
    hub: Arc<Mutex<Vec<Member>>>,
}

/// One session that is subscribed.
struct Member {
    interest: Interest,
    inbox: Sender<Delivery>,
}

impl MemoryBackend {
    /// A new hub, without anybody.
    pub fn new() -> Self {
        Self::default()
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("sessions", &self.members().len()).finish()
    }
}

impl Backend for MemoryBackend {
    fn connect(&self, interest: Interest, _: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        let (inbox, deliveries) = channel(MAX_WAITING);
        let publisher = HubPublisher { backend: self.clone(), namespace: interest.namespace.clone() };
        let mut members = self.members();
        members.retain(|member| !member.inbox.is_closed());
        members.push(Member { interest, inbox });
        drop(members);
        let session =
            Session { publisher: Box::new(publisher), subscriber: Box::new(Inbox(deliveries)), resumed: false };
        Box::pin(std::future::ready(Ok(session)))
    }
}

impl Member {
    fn wants(&self, namespace: &Name, topic: &Topic) -> bool {
        self.interest.namespace == *namespace
            && match (topic, &self.interest.caches) {
                (Topic::Heartbeat(node), _) => *node == self.interest.node,
                (Topic::Cache(_), Caches::All) => true,
                (Topic::Cache(cache), Caches::Named(caches)) => caches.contains(cache),
            }
    }
}

struct HubPublisher {
    backend: MemoryBackend,
    namespace: Name,
}

impl Publisher for HubPublisher {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        // One lock for all: every session sees the messages in the same order.
        let mut members = self.backend.members();
        for Message { topic, body } in messages {
            members.retain(|member| {
                if !member.wants(&self.namespace, topic) {
                    return true;
                }
                let cache = match topic {
                    Topic::Cache(cache) => Some(cache.clone()),
                    Topic::Heartbeat(_) => None,
                };
                let delivery = Delivery { body: body.clone(), format: Format::Frame, cache, position: None };
                // A session that has ended wants nothing any more. One that is full of what it does not take misses this,
                // so it ends when it has taken the rest.
                member.inbox.try_send(delivery).is_ok()
            });
        }
        drop(members);
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Inbox(Receiver<Delivery>);

impl Subscriber for Inbox {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(async {
            let gone = || BackendError::new(BackendErrorKind::Lost, "the hub has forgotten this session");
            self.0.recv().await.ok_or_else(gone)
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
        assert_eq!(hub.members().len(), 1);
        for _ in 0..MAX_WAITING {
            stuck.subscriber.next().await.unwrap();
        }
        assert_eq!(stuck.subscriber.next().await.unwrap_err().kind(), BackendErrorKind::Lost);
    }
}
