//! Sessions of these tests.

use cachesync_amqp::AmqpBackend;
use cachesync_core::{
    Backend, BackendError, BackendErrorKind, Name, Session,
    backend::{Caches, Interest, Message, Topic},
    frame::NodeId,
};
use cachesync_tests::wait::{DEADLINE, within};

pub(crate) fn backend(url: &str) -> AmqpBackend {
    AmqpBackend::new(url).expect("a URL")
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

/// What a node wants that has the cache `users`, in a namespace that no other test uses.
pub(crate) fn interest() -> Interest {
    Interest {
        namespace: name(&format!("broker-{}", NodeId::random())),
        node_name: "tests".to_owned(),
        node: NodeId::random(),
        caches: Caches::Named(vec![name("users")]),
    }
}

pub(crate) async fn open(backend: &AmqpBackend, interest: &Interest) -> Session {
    within(DEADLINE, backend.connect(interest.clone(), None)).await.expect("a session")
}

/// The error of a connect that must fail.
pub(crate) async fn refusal(backend: &AmqpBackend) -> BackendError {
    within(DEADLINE, backend.connect(interest(), None)).await.expect_err("no session")
}

pub(crate) fn eviction(body: &str) -> Message {
    Message { topic: Topic::Cache(name("users")), body: body.as_bytes().to_vec() }
}

pub(crate) fn heartbeat(node: NodeId) -> Message {
    Message { topic: Topic::Heartbeat(node), body: b"beat".to_vec() }
}

/// Waits until the subscriber says that the session has ended.
pub(crate) async fn subscriber_ends(session: &mut Session) -> BackendError {
    let error = within(DEADLINE, async {
        loop {
            if let Err(error) = session.subscriber.next().await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    error
}

/// Everything that an error shows: its text, its debug form, and the same of its sources.
pub(crate) fn everything_shown(error: &BackendError) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let shown: Vec<_> = chain.map(|error| format!("{error} {error:?}")).collect();
    shown.join(" ")
}
