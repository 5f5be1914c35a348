//! Sessions on a stream: which resume, which do not, and what ends them.

use std::{fs, time::Duration};

use cachesync_amqp::Stream;
use cachesync_core::{BackendErrorKind, backend::Interest, frame::NodeId};
use cachesync_tests::{
    broker::Broker,
    proxy::Proxy,
    wait::{DEADLINE, eventually, within},
};
use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions},
    types::FieldTable,
};

use crate::session::{
    backend, channel, eviction, heartbeat, interest, next, on_stream, open, publish, resume, stream_of,
    subscriber_ends, write,
};

/// As little as a stream can keep.
fn tiny() -> Stream {
    Stream::new().segment_bytes(64 * 1024).max_bytes(128 * 1024)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_is_resumed_on_its_data_and_not_on_an_empty_disk() {
    let broker = Broker::start();
    let (backend, interest) = (on_stream(broker.url()), interest());
    let mut session = open(&backend, &interest).await;
    let position = write(&mut session, &["1", "2"]).await;
    publish(&mut session, &[eviction("3")]).await;
    broker.write_out();
    broker.kill();
    let error = subscriber_ends(&mut session).await;
    assert!(error.to_string().contains("has ended"), "{error}");

    broker.restart();
    let mut session = resume(&backend, &interest, &position).await;
    assert!(session.resumed);
    assert_eq!(next(&mut session).await.0, "3");
    let position = write(&mut session, &["4"]).await;

    broker.kill();
    fs::remove_dir_all(broker.folder().join("mnesia")).expect("the node's data");
    broker.restart();
    let mut session = resume(&backend, &interest, &position).await;
    assert!(!session.resumed);
    write(&mut session, &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]).await;
    // It has more messages now, and they are not those.
    assert!(!resume(&backend, &interest, &position).await.resumed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_deleted_and_has_grown_anew_with_messages_alike_is_another_one() {
    let broker = Broker::shared_private();
    // More than the test has: that the place is not there is found out, and not given up waiting for.
    let backend = on_stream(broker.url()).connect_timeout(DEADLINE * 4);
    let interest = interest();
    let mut session = open(&backend, &interest).await;
    let position = write(&mut session, &["1", "2", "3"]).await;
    assert!(resume(&backend, &interest, &position).await.resumed);
    broker.ctl(&["delete_queue", &stream_of(&interest)]);
    let error = subscriber_ends(&mut session).await;
    assert!(error.to_string().contains("the stream was deleted"), "{error}");
    // Evictions would go on being confirmed; the heartbeat tells.
    let error = session.publisher.publish(&[heartbeat(interest.node)]).await.expect_err("returned");
    assert!(error.to_string().contains("returned this node's heartbeat"), "{error}");

    let mut session = resume(&backend, &interest, &position).await;
    assert!(!session.resumed, "it is empty");
    write(&mut session, &["1", "2"]).await;
    assert!(!resume(&backend, &interest, &position).await.resumed, "it is as long");
    write(&mut session, &["3", "4", "5", "6", "7", "8", "9"]).await;
    assert!(!resume(&backend, &interest, &position).await.resumed, "it is longer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_for_longer_than_the_stream_keeps_does_not_resume() {
    let broker = Broker::shared_private();
    let (backend, interest) = (backend(broker.url()).stream(tiny()), interest());
    let mut session = open(&backend, &interest).await;
    let position = write(&mut session, &["1"]).await;
    let filling: Vec<_> = (0..100).map(|_| eviction(&"x".repeat(1024))).collect();
    // The broker drops what is too much by and by.
    within(DEADLINE, async {
        loop {
            publish(&mut session, &filling).await;
            if !resume(&backend, &interest, &position).await.resumed {
                return;
            }
        }
    })
    .await;
    let mut session = resume(&backend, &interest, &position).await;
    assert!(!session.resumed);
    let position = write(&mut session, &["on"]).await;
    assert!(resume(&backend, &interest, &position).await.resumed);
}

/// RabbitMQ goes on at what is left, without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_broker_overtakes_in_dropping_messages_ends() {
    let broker = Broker::shared_private();
    let (backend, interest) = (backend(broker.url()).stream(tiny()), interest());
    let mut slow = open(&backend, &interest).await;
    let mut writer = open(&backend, &interest).await;
    let mut position = None;
    // Far more is dropped than is sent to a session ahead of its acknowledgements.
    for number in (0..).step_by(100) {
        let messages: Vec<_> = (number..number + 100).map(|number| eviction(&format!("{number:01024}"))).collect();
        publish(&mut writer, &messages).await;
        for _ in 0..100 {
            let heard = next(&mut writer).await.1;
            position = position.or((number == 2_000).then_some(heard));
        }
        if let Some(position) = &position
            && !resume(&backend, &interest, position).await.resumed
        {
            break;
        }
    }
    let (mut heard, mut last) = (0, None);
    let error = loop {
        match within(DEADLINE, slow.subscriber.next()).await {
            Ok(delivery) => {
                let number: usize = String::from_utf8(delivery.body).expect("a text").parse().expect("a number");
                assert_eq!(number, heard, "nothing is left out without a word");
                heard += 1;
                last = delivery.position;
            }
            Err(error) => break error,
        }
    };
    assert!(heard < 2_000, "{heard}");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    assert!(error.to_string().contains("`max_bytes`"), "{error}");
    assert!(!resume(&backend, &interest, &last.expect("it has heard some")).await.resumed, "after {heard}");
}

/// One binding serves all nodes, so who makes it anew would hide from the others that it was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_not_bound_for_a_while_is_not_resumed_by_who_noticed_nor_by_who_did_not() {
    let broker = Broker::shared_private();
    let exchange = "made-anew";
    let (backend, interest) = (on_stream(broker.url()).exchange(exchange), interest());
    let other = Interest { node: NodeId::random(), ..interest.clone() };
    let stream = format!("cachesync.{}.{exchange}.stream", interest.namespace);
    let mut session = open(&backend, &interest).await;
    let mut position = write(&mut session, &["1"]).await;

    let (_connection, channel) = channel(broker).await;
    let pattern = format!("{}.#", interest.namespace);
    for round in 1..=2 {
        let mut unaware = open(&backend, &other).await;
        publish(&mut session, &[eviction("heard")]).await;
        let heard = next(&mut unaware).await.1;
        if round == 1 {
            let unbinding = channel.queue_unbind(
                stream.as_str().into(),
                exchange.into(),
                pattern.as_str().into(),
                FieldTable::default(),
            );
            unbinding.await.expect("unbound");
        } else {
            channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.expect("deleted");
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            channel
                .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default())
                .await
                .expect("made anew");
        }
        publish(&mut session, &[eviction("confirmed, and lost")]).await;
        let error = session.publisher.publish(&[heartbeat(interest.node)]).await.expect_err("returned");
        assert!(error.to_string().contains("returned this node's heartbeat"), "{error}");

        session = resume(&backend, &interest, &position).await;
        assert!(!session.resumed);
        subscriber_ends(&mut unaware).await;
        assert!(!resume(&backend, &other, &heard).await.resumed);
        position = write(&mut session, &["after"]).await;
        assert!(resume(&backend, &interest, &position).await.resumed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_exchange_ends_the_session_at_the_next_publish_and_the_next_session_does_not_resume() {
    let broker = Broker::shared_private();
    let exchange = "deleted-under-a-stream";
    let (backend, interest) = (on_stream(broker.url()).exchange(exchange), interest());
    let mut session = open(&backend, &interest).await;
    let position = write(&mut session, &["1"]).await;
    let (_connection, channel) = channel(broker).await;
    channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.expect("deleted");
    let error = within(DEADLINE, session.publisher.publish(&[eviction("lost")])).await.expect_err("no exchange");
    assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
    let mut session = resume(&backend, &interest, &position).await;
    assert!(!session.resumed);
    write(&mut session, &["2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_was_cut_is_resumed_and_leaves_one_consumer() {
    let broker = Broker::shared_private();
    broker.ctl(&["add_vhost", "cut"]);
    broker.ctl(&["set_permissions", "-p", "cut", "guest", ".*", ".*", ".*"]);
    let url = broker.url_with("guest", "guest", "cut");
    let proxy = Proxy::before(&url).await;
    let (backend, interest) = (on_stream(proxy.url()), interest());
    let mut session = open(&backend, &interest).await;
    let position = write(&mut session, &["1"]).await;
    proxy.cut();
    subscriber_ends(&mut session).await;
    let mut writer = open(&on_stream(&url), &Interest { node: NodeId::random(), ..interest.clone() }).await;
    publish(&mut writer, &[eviction("2"), eviction("3")]).await;
    drop(writer);
    proxy.resume();
    let mut session = resume(&backend, &interest, &position).await;
    assert!(session.resumed);
    assert_eq!(next(&mut session).await.0, "2");
    assert_eq!(next(&mut session).await.0, "3");
    // Streams are not in the list of consumers.
    let channels = || broker.ctl(&["list_channels", "-p", "cut", "--no-table-headers", "vhost", "consumer_count"]);
    let consumers = || channels().lines().filter(|channel| *channel == "cut\t1").count();
    eventually(DEADLINE, || consumers() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_queues_and_on_streams_of_other_names_hear_each_other() {
    let broker = Broker::shared_private();
    let interest = interest();
    let backends = [
        on_stream(broker.url()),
        backend(broker.url()).stream(Stream::new().name("v2").max_age(Duration::from_mins(5)).replicas(1)),
        backend(broker.url()),
    ];
    let mut sessions = Vec::new();
    for backend in &backends {
        sessions.push(open(backend, &Interest { node: NodeId::random(), ..interest.clone() }).await);
    }
    for (number, text) in ["1", "2", "3"].into_iter().enumerate() {
        publish(&mut sessions[number], &[eviction(text)]).await;
        for session in &mut sessions {
            let delivery = within(DEADLINE, session.subscriber.next()).await.expect("a delivery");
            assert_eq!(delivery.body, text.as_bytes());
        }
    }
}
