//! Sessions of these tests.

use std::time::Duration;

use cachesync_amqp::{AmqpBackend, Stream};
use cachesync_core::{
    Backend, BackendError, BackendErrorKind, Name, Session,
    backend::{Caches, Interest, Message, Position, Topic},
    frame::NodeId,
};
use cachesync_tests::{
    broker::Broker,
    patient,
    wait::{DEADLINE, within},
};
use lapin::{Channel, Connection, ConnectionProperties};

pub(crate) fn backend(url: &str) -> AmqpBackend {
    patient::backend(url)
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

pub(crate) fn on_stream(url: &str) -> AmqpBackend {
    backend(url).stream(Stream::new())
}

pub(crate) fn stream_of(interest: &Interest) -> String {
    format!("cachesync.{}.cachesync.stream", interest.namespace)
}

pub(crate) async fn publish(session: &mut Session, messages: &[Message]) {
    within(DEADLINE, session.publisher.publish(messages)).await.expect("published");
}

/// The next delivery: its text and position.
pub(crate) async fn next(session: &mut Session) -> (String, Position) {
    let delivery = within(DEADLINE, session.subscriber.next()).await.expect("a delivery");
    (String::from_utf8(delivery.body).expect("a text"), delivery.position.expect("a stream has positions"))
}

/// Publishes these evictions and hears them; returns the position of the last.
pub(crate) async fn write(session: &mut Session, texts: &[&str]) -> Position {
    publish(session, &texts.iter().map(|text| eviction(text)).collect::<Vec<_>>()).await;
    let mut last = None;
    for text in texts {
        let (heard, position) = next(session).await;
        assert_eq!(heard, *text);
        last = Some(position);
    }
    last.expect("something was written")
}

/// A session at this position, as soon as the broker gives one: after its start it needs a moment for its streams.
pub(crate) async fn resume(backend: &AmqpBackend, interest: &Interest, position: &Position) -> Session {
    retry(backend, interest, Some(position.clone())).await
}

/// A session, after as many attempts as that takes, as the engine would make them.
pub(crate) async fn retry(backend: &AmqpBackend, interest: &Interest, position: Option<Position>) -> Session {
    within(DEADLINE, async {
        loop {
            match backend.connect(interest.clone(), position.clone()).await {
                Ok(session) => return session,
                Err(error) => assert_ne!(error.kind(), BackendErrorKind::Configuration, "{error}"),
            }
            // How often it is tried.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

pub(crate) async fn channel(broker: &Broker) -> (Connection, Channel) {
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
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
