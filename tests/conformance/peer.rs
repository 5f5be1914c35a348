//! A node of a test: a session with what identifies it.

use std::sync::Arc;

use cachesync_core::{
    Backend, Name, Session,
    backend::{Caches, Delivery, Interest, Message, Topic},
    frame::NodeId,
};
use cachesync_tests::wait::{DEADLINE, within};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

/// A namespace that no other test uses.
pub(crate) fn namespace() -> Name {
    name(&format!("conformance-{}", NodeId::random()))
}

/// An eviction of `cache`; to a backend its body is any bytes.
pub(crate) fn eviction(cache: &str, body: &str) -> Message {
    Message { topic: Topic::Cache(name(cache)), body: body.as_bytes().to_vec() }
}

pub(crate) fn evictions(cache: &str, count: usize) -> Vec<Message> {
    (0..count).map(|number| eviction(cache, &number.to_string())).collect()
}

/// What stands in the bodies of `messages`.
pub(crate) fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect()
}

pub(crate) struct Peer {
    pub(crate) id: NodeId,
    pub(crate) session: Session,
}

impl Peer {
    pub(crate) async fn join(backend: &Arc<dyn Backend>, namespace: &Name, caches: &[&str]) -> Self {
        Self::connect(backend, namespace, Caches::Named(caches.iter().map(|cache| name(cache)).collect())).await
    }

    pub(crate) async fn join_all(backend: &Arc<dyn Backend>, namespace: &Name) -> Self {
        Self::connect(backend, namespace, Caches::All).await
    }

    async fn connect(backend: &Arc<dyn Backend>, namespace: &Name, caches: Caches) -> Self {
        let id = NodeId::random();
        let session = Self::open(backend, interest(namespace, id, caches)).await;
        Self { id, session }
    }

    pub(crate) async fn open(backend: &Arc<dyn Backend>, interest: Interest) -> Session {
        within(DEADLINE, backend.connect(interest, None)).await.expect("a session")
    }

    pub(crate) async fn publish(&mut self, messages: &[Message]) {
        within(DEADLINE, self.session.publisher.publish(messages)).await.expect("published");
    }

    pub(crate) fn heartbeat(&self, body: &str) -> Message {
        Message { topic: Topic::Heartbeat(self.id), body: body.as_bytes().to_vec() }
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        within(DEADLINE, self.session.subscriber.next()).await.expect("a delivery")
    }

    pub(crate) async fn next_text(&mut self) -> String {
        String::from_utf8(self.next().await.body).expect("a text")
    }

    pub(crate) async fn next_texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            texts.push(self.next_text().await);
        }
        texts
    }

    /// What was delivered up to now: the node sends itself a heartbeat, and everything that was confirmed before is
    /// ahead of it.
    pub(crate) async fn drain(&mut self) -> Vec<String> {
        self.publish(&[self.heartbeat("the end")]).await;
        let mut texts = Vec::new();
        loop {
            match self.next_text().await {
                end if end == "the end" => return texts,
                text => texts.push(text),
            }
        }
    }
}

pub(crate) fn interest(namespace: &Name, node: NodeId, caches: Caches) -> Interest {
    Interest { namespace: namespace.clone(), node_name: "conformance".to_owned(), node, caches }
}
