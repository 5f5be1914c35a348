//! How a stream is made, or found: by one node or by many at once, as it is asked for or not, or not at all.

use std::time::Duration;

use cachesync_amqp::{AmqpBackend, Stream};
use cachesync_core::{Backend, BackendError, BackendErrorKind, Session, backend::Interest, frame::NodeId};
use cachesync_tests::{
    broker::Broker,
    wait::{DEADLINE, within},
};
use lapin::{
    BasicProperties,
    options::{BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::session::{backend, channel, eviction, interest, next, on_stream, open, publish, resume, stream_of, write};

async fn refused(backend: &AmqpBackend, interest: &Interest) -> BackendError {
    within(DEADLINE, backend.connect(interest.clone(), None)).await.expect_err("no session")
}

/// Sessions of `count` nodes that ask for them at the same time, once each.
async fn open_at_once(count: usize, backend: &AmqpBackend, interest: &Interest) -> Vec<Session> {
    let opening: Vec<_> = (0..count)
        .map(|_| {
            let (backend, interest) = (backend.clone(), Interest { node: NodeId::random(), ..interest.clone() });
            tokio::spawn(async move { within(DEADLINE, backend.connect(interest, None)).await })
        })
        .collect();
    let mut sessions = Vec::new();
    for session in opening {
        sessions.push(session.await.expect("no panic").expect("a session at the first attempt"));
    }
    sessions
}

async fn all_hear(sessions: &mut [Session], text: &str) {
    publish(&mut sessions[0], &[eviction(text)]).await;
    for session in sessions {
        assert_eq!(next(session).await.0, text);
    }
}

/// RabbitMQ 3.10.8 ends the connections of all but one that declare a stream at the same time, and of who consumes one that is
/// being made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_share_the_stream_that_one_of_them_makes() {
    let broker = Broker::shared_private();
    for count in [2, 2, 2, 3, 3, 8] {
        let interest = interest();
        let mut sessions = open_at_once(count, &on_stream(broker.url()), &interest).await;
        all_hear(&mut sessions, "to all").await;
        assert!(
            !broker.ctl(&["list_queues", "--no-table-headers", "name"]).contains("~turn"),
            "nobody makes it any more"
        );
    }
}

/// Each would delete what another has just made, or wait for messages of a stream that is no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_find_their_stream_without_its_binding_at_once_have_it_made_anew_once() {
    let broker = Broker::shared_private();
    let (_connection, channel) = channel(broker).await;
    for count in [2, 4, 8] {
        let (backend, interest) = (on_stream(broker.url()), interest());
        drop(open(&backend, &interest).await);
        let pattern = format!("{}.#", interest.namespace);
        let stream = stream_of(&interest);
        channel
            .queue_unbind(stream.as_str().into(), "cachesync".into(), pattern.as_str().into(), FieldTable::default())
            .await
            .expect("unbound");
        let mut sessions = open_at_once(count, &backend, &interest).await;
        all_hear(&mut sessions, "to all").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_the_publishers_does_not_pass_for_the_place_of_its_message() {
    let broker = Broker::shared_private();
    let (backend, interest) = (on_stream(broker.url()), interest());
    let mut session = open(&backend, &interest).await;
    let (_connection, channel) = channel(broker).await;
    let forged = [AMQPValue::LongLongInt(0), AMQPValue::LongLongInt(-1), AMQPValue::LongString("next".into())];
    for offset in forged {
        let mut headers = FieldTable::default();
        headers.insert("x-stream-offset".into(), offset);
        let properties = BasicProperties::default().with_headers(headers);
        let (options, key) = (BasicPublishOptions::default(), format!("{}.users", interest.namespace));
        channel.basic_publish("cachesync".into(), key.into(), options, b"forged", properties).await.expect("sent");
        assert_eq!(next(&mut session).await.0, "forged");
    }
    let position = write(&mut session, &["1"]).await;
    assert!(resume(&backend, &interest, &position).await.resumed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_write_to_its_namespace_is_told_so() {
    let broker = Broker::shared_private();
    broker.ctl(&["add_user", "silenced", "hunter2"]);
    broker.ctl(&["set_permissions", "silenced", ".*", ".*", ".*"]);
    broker.ctl(&["set_topic_permissions", "silenced", "cachesync", "^nothing$", ".*"]);
    let error = refused(&on_stream(&broker.url_with("silenced", "hunter2", "%2f")), &interest()).await;
    assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
    for part in ["or publish to that", "write and read on its namespace"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_exists_with_other_arguments_or_as_a_queue_is_refused_with_what_to_do() {
    let broker = Broker::shared_private();
    let (backend, interest) = (on_stream(broker.url()), interest());
    let mut session = open(&backend, &interest).await;
    let stream = stream_of(&interest);
    let properties = broker.ctl(&["list_queues", "--no-table-headers", "name", "type", "durable"]);
    assert!(properties.contains(&format!("{stream}\tstream\ttrue")), "{properties}");
    let (_connection, channel) = channel(broker).await;
    let queue = format!("cachesync.{}.cachesync.queue", interest.namespace);
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.expect("a queue");
    for (options, name) in [
        (Stream::new().max_age(Duration::from_mins(5)), &stream),
        (Stream::new().max_bytes(1 << 29), &stream),
        (Stream::new().name("queue"), &queue),
    ] {
        let error = refused(&self::backend(broker.url()).stream(options), &interest).await;
        assert_eq!(error.kind(), BackendErrorKind::Configuration, "{error}");
        let error = error.to_string();
        assert!(error.contains(&format!("the stream `{name}`")) && error.contains("the same `Stream`"), "{error}");
    }
    write(&mut session, &["undisturbed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_permissions_that_a_queue_needs_are_enough_for_a_stream() {
    let broker = Broker::shared_private();
    broker.ctl(&["add_user", "streaming", "hunter2"]);
    let url = broker.url_with("streaming", "hunter2", "%2f");
    broker.ctl(&["set_permissions", "streaming", "^cachesync$", "^cachesync$", "^cachesync$"]);
    let interest = interest();
    let error = refused(&on_stream(&url), &interest).await;
    assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
    assert!(error.to_string().contains(&format!("`{}`", stream_of(&interest))), "{error}");
    assert!(error.to_string().contains("`cachesync.*`"), "{error}");

    let granted = r"^cachesync(\..*)?$";
    broker.ctl(&["set_permissions", "streaming", granted, granted, granted]);
    let mut session = open(&on_stream(&url), &interest).await;
    let position = write(&mut session, &["1"]).await;
    assert!(resume(&on_stream(&url), &interest, &position).await.resumed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_takes_nothing_or_says_nothing_costs_an_attempt_its_time_and_no_more() {
    let broker = Broker::start();
    let limit = Duration::from_secs(2);
    let (patient, interest) = (on_stream(broker.url()), interest());
    let backend = patient.clone().connect_timeout(limit);
    let mut session = open(&patient, &interest).await;
    let position = write(&mut session, &["1"]).await;
    let timed_out = async || {
        // Without a limit there would be no end of it.
        let error = within(DEADLINE, backend.connect(interest.clone(), Some(position.clone()))).await;
        let error = error.expect_err("no session");
        assert_eq!(error.kind(), BackendErrorKind::Timeout, "{error}");
        error.to_string()
    };
    broker.stop();
    timed_out().await;
    broker.cont();
    broker.set_short_of_memory(true);
    // A broker that is slow besides may use up the time before it comes to that.
    within(DEADLINE, async { while !timed_out().await.contains("`rabbitmq-diagnostics alarms`") {} }).await;
    broker.set_short_of_memory(false);
    assert!(resume(&patient, &interest, &position).await.resumed);
}
