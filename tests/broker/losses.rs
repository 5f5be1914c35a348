//! A lost session is noticed, whatever ends it.

use std::time::Duration;

use cachesync_core::{BackendErrorKind, backend::Topic, frame::NodeId};
use cachesync_tests::{
    broker::Broker,
    proxy::Proxy,
    wait::{DEADLINE, within},
};
use lapin::{
    Connection, ConnectionProperties,
    options::{QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::session::{backend, eviction, heartbeat, interest, open, refusal, retry, subscriber_ends};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_ends_the_session_and_a_restarted_one_gives_the_next() {
    let broker = Broker::start();
    let (backend, interest) = (backend(broker.url()), interest());
    let mut session = open(&backend, &interest).await;
    broker.kill();
    // What cleans up in the end must not kill whoever has the dead node's ids by then.
    assert!(["group", "pid"].iter().all(|file| !broker.folder().join(file).exists()));
    subscriber_ends(&mut session).await;
    let error = within(DEADLINE, session.publisher.publish(&[eviction("late")])).await.expect_err("no broker");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    assert_eq!(refusal(&backend).await.kind(), BackendErrorKind::Unreachable);

    broker.restart();
    let mut session = open(&backend, &interest).await;
    session.publisher.publish(&[eviction("again")]).await.expect("published");
    assert_eq!(within(DEADLINE, session.subscriber.next()).await.expect("a delivery").body, b"again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_times_out_what_is_published_and_what_is_opened() {
    let broker = Broker::start();
    let limit = Duration::from_millis(500);
    let patient = backend(broker.url());
    let backend = patient.clone().publish_timeout(limit).connect_timeout(limit * 4).close_timeout(limit);
    let mut session = open(&patient.clone().publish_timeout(limit).close_timeout(limit), &interest()).await;
    broker.stop();
    let error = within(DEADLINE, session.publisher.publish(&[eviction("lost")])).await.expect_err("no confirm");
    assert_eq!(error.kind(), BackendErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("`publish_timeout`"), "{error}");
    assert_eq!(refusal(&backend).await.kind(), BackendErrorKind::Timeout);
    within(DEADLINE, session.publisher.close()).await;

    broker.cont();
    open(&patient, &interest()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_times_out_what_is_published_and_says_why() {
    let broker = Broker::start();
    let limit = Duration::from_millis(500);
    let patient = backend(broker.url());
    let backend = patient.clone().publish_timeout(limit).close_timeout(limit);
    broker.set_short_of_memory(true);
    within(DEADLINE, async {
        loop {
            let mut session = open(&backend, &interest()).await;
            let error = session.publisher.publish(&[eviction("held back")]).await.expect_err("no confirm");
            assert_eq!(error.kind(), BackendErrorKind::Timeout, "{error}");
            session.publisher.close().await;
            // A broker that has not got round to saying so is just slow.
            if error.to_string().contains("short of memory or disk") {
                break;
            }
        }
    })
    .await;

    broker.set_short_of_memory(false);
    let mut session = open(&patient, &interest()).await;
    within(DEADLINE, session.publisher.publish(&[eviction("free")])).await.expect("published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_an_operator_closes_ends_the_session() {
    let broker = Broker::start();
    let mut session = open(&backend(broker.url()), &interest()).await;
    broker.ctl(&["close_all_connections", "maintenance"]);
    let error = subscriber_ends(&mut session).await;
    assert!(error.to_string().contains("maintenance"), "{error}");
    let again = subscriber_ends(&mut session).await;
    assert!(again.to_string().contains("open a new one"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_ends_the_session() {
    let broker = Broker::shared_private();
    let interest = interest();
    let mut session = open(&backend(broker.url()), &interest).await;
    let queues = broker.ctl(&["list_queues", "--no-table-headers", "name"]);
    let queue = queues.lines().find(|queue| queue.contains(interest.namespace.as_str())).expect("the session's queue");
    broker.ctl(&["delete_queue", queue]);
    let error = subscriber_ends(&mut session).await;
    assert!(error.to_string().contains("queue was deleted"), "{error}");
    // Evictions would go on being confirmed; the heartbeat tells.
    let error = session.publisher.publish(&[heartbeat(interest.node)]).await.expect_err("returned");
    assert!(error.to_string().contains("returned this node's heartbeat"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_heartbeat_ends_the_session_among_messages_that_are_confirmed() {
    let interest = interest();
    let mut session = open(&backend(Broker::shared().url()), &interest).await;
    let stranger = heartbeat(NodeId::random());
    assert!(matches!(stranger.topic, Topic::Heartbeat(_)));
    let messages = [eviction("1"), heartbeat(interest.node), stranger, eviction("2")];
    let error = within(DEADLINE, session.publisher.publish(&messages)).await.expect_err("returned");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    let error = within(DEADLINE, session.publisher.publish(&[eviction("3")])).await.expect_err("it has ended");
    assert!(error.to_string().contains("open a new session"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_exchange_ends_the_session_at_the_next_publish() {
    let broker = Broker::shared_private();
    let exchange = "deleted-under-way";
    let mut session = open(&backend(broker.url()).exchange(exchange), &interest()).await;
    broker.ctl(&[
        "eval",
        &format!("rabbit_exchange:delete(rabbit_misc:r(<<\"/\">>, exchange, <<\"{exchange}\">>), false, <<>>)."),
    ]);
    let error = within(DEADLINE, session.publisher.publish(&[eviction("lost")])).await.expect_err("no exchange");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    assert!(error.to_string().contains(exchange), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_queue_that_rejects_messages_is_not_taken_for_one_of_ours() {
    let exchange = "audited";
    let interest = interest();
    let mut session = open(&backend(Broker::shared().url()).exchange(exchange), &interest).await;
    let connection = Connection::connect(Broker::shared().url(), ConnectionProperties::default()).await;
    let channel = connection.expect("a connection").create_channel().await.expect("a channel");
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(0));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let audit = channel.queue_declare("".into(), exclusive, full).await.expect("a queue");
    let every = format!("{}.#", interest.namespace);
    let binding = QueueBindOptions::default();
    channel
        .queue_bind(audit.name().clone(), exchange.into(), every.into(), binding, FieldTable::default())
        .await
        .expect("bound");

    let error = within(DEADLINE, session.publisher.publish(&[eviction("audited")])).await.expect_err("rejected");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    assert!(error.to_string().contains("a queue bound to `audited`, perhaps not one of cachesync's"), "{error}");
    // Our own queue had taken it.
    assert_eq!(within(DEADLINE, session.subscriber.next()).await.expect("a delivery").body, b"audited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_network_ends_both_halves() {
    let proxy = Proxy::before(Broker::shared().url()).await;
    let backend = backend(proxy.url());
    let mut session = open(&backend, &interest()).await;
    proxy.cut();
    subscriber_ends(&mut session).await;
    let error = within(DEADLINE, session.publisher.publish(&[eviction("late")])).await.expect_err("no network");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    assert_eq!(refusal(&backend).await.kind(), BackendErrorKind::Unreachable);
    proxy.resume();
    open(&backend, &interest()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_under_way_fails_as_soon_as_the_network_is_cut() {
    let proxy = Proxy::before(Broker::shared().url()).await;
    let backend = backend(proxy.url()).publish_timeout(DEADLINE * 2);
    let mut session = open(&backend, &interest()).await;
    proxy.stall();
    let messages: Vec<_> = (0..1_000).map(|number| eviction(&number.to_string())).collect();
    let publishing = session.publisher.publish(&messages);
    let cutting = async {
        // Polled after the publish, which waits for its confirms then.
        tokio::task::yield_now().await;
        proxy.cut();
    };
    let (result, ()) = within(DEADLINE, async { tokio::join!(publishing, cutting) }).await;
    let error = result.expect_err("no network");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_network_ends_the_subscriber_by_the_amqp_heartbeat() {
    let proxy = Proxy::before(Broker::shared().url()).await;
    let backend = backend(proxy.url());
    let mut publishing = open(&backend.clone().publish_timeout(Duration::from_millis(200)), &interest()).await;
    // A machine that stands still for two beats loses it before the network is stalled.
    let mut session = retry(&backend.heartbeat(Duration::from_secs(1)), &interest(), None).await;
    proxy.stall();
    let error = within(DEADLINE, publishing.publisher.publish(&[eviction("stuck")])).await.expect_err("no confirm");
    assert_eq!(error.kind(), BackendErrorKind::Timeout, "{error}");
    let error = subscriber_ends(&mut session).await;
    assert!(error.to_string().contains("heartbeat"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_publish_makes_the_publisher_unusable() {
    let proxy = Proxy::before(Broker::shared().url()).await;
    let mut session = open(&backend(proxy.url()), &interest()).await;
    proxy.stall();
    let cancelled = tokio::time::timeout(Duration::from_millis(50), session.publisher.publish(&[eviction("1")])).await;
    assert!(cancelled.is_err());
    proxy.resume();
    let error = within(DEADLINE, session.publisher.publish(&[eviction("2")])).await.expect_err("unusable");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
}
