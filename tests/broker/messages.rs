//! What stands on the wire, and what other programs may put there.

use cachesync_core::{
    backend::{Caches, Format},
    codec,
};
use cachesync_tests::{
    broker::Broker,
    wait::{DEADLINE, within},
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::session::{backend, eviction, interest, name, open};

/// A program that is not cachesync. The connection lives as long as the channel.
async fn stranger() -> Channel {
    let connection = Connection::connect(Broker::shared().url(), ConnectionProperties::default()).await;
    connection.expect("a connection").create_channel().await.expect("a channel")
}

async fn publish(channel: &Channel, routing_key: &str, properties: BasicProperties, body: &[u8]) {
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish("cachesync".into(), routing_key.into(), options, body, properties).await;
    confirm.expect("published").await.expect("taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_of_another_program_is_delivered_as_json_with_the_cache_of_its_routing_key() {
    let interest = interest();
    let mut session = open(&backend(Broker::shared().url()), &interest).await;
    let body = br#"{"cache": "users", "keys": [42]}"#;
    let routing_key = format!("{}.users", interest.namespace);
    let stranger = stranger().await;
    for content_type in ["application/json", "application/json; charset=utf-8"] {
        publish(&stranger, &routing_key, BasicProperties::default().with_content_type(content_type.into()), body).await;
        let delivery = within(DEADLINE, session.subscriber.next()).await.expect("a delivery");
        assert_eq!(delivery.format, Format::Json, "{content_type}");
        assert_eq!(delivery.cache, Some(name("users")));
        assert_eq!(delivery.body, body);
        assert!(codec::decode_json(&delivery.body).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_delivered_as_it_is_and_does_not_end_the_session() {
    let mut interest = interest();
    interest.caches = Caches::All;
    let mut session = open(&backend(Broker::shared().url()), &interest).await;
    let stranger = stranger().await;
    let namespace = &interest.namespace;
    for (routing_key, cache) in [
        (format!("{namespace}.users"), Some(name("users"))),
        (format!("{namespace}.not a name"), None),
        (format!("{namespace}."), None),
        (format!("{namespace}.~heartbeat.{}", interest.node), None),
    ] {
        for body in [&b""[..], b"\xC5\xFF\xFF", b"\0garbage"] {
            publish(&stranger, &routing_key, BasicProperties::default(), body).await;
            let delivery = within(DEADLINE, session.subscriber.next()).await.expect("a delivery");
            assert_eq!((delivery.body.as_slice(), delivery.format), (body, Format::Frame), "{routing_key}");
            assert_eq!(delivery.cache, cache, "{routing_key}");
        }
    }
    session.publisher.publish(&[eviction("fine")]).await.expect("published");
    assert_eq!(within(DEADLINE, session.subscriber.next()).await.expect("a delivery").body, b"fine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_message_is_cut_to_what_the_decoder_calls_too_large() {
    let interest = interest();
    let mut session = open(&backend(Broker::shared().url()), &interest).await;
    let routing_key = format!("{}.users", interest.namespace);
    publish(&stranger().await, &routing_key, BasicProperties::default(), &vec![7; 10 * 1024 * 1024]).await;
    let delivery = within(DEADLINE, session.subscriber.next()).await.expect("a delivery");
    assert_eq!(delivery.body.len(), codec::MAX_FRAME_BYTES + 1);
    assert_eq!(delivery.cache, Some(name("users")));
    assert_eq!(codec::decode(&delivery.body).expect_err("too large").reason, codec::DecodeReason::TooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_shows_its_content_type_and_version_and_is_transient() {
    let interest = interest();
    let mut session = open(&backend(Broker::shared().url()), &interest).await;
    let channel = stranger().await;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await.expect("a queue");
    let key = format!("{}.users", interest.namespace);
    channel
        .queue_bind(
            queue.name().clone(),
            "cachesync".into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .expect("bound");
    let mut consumer = channel
        .basic_consume(queue.name().clone(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .expect("a consumer");

    session.publisher.publish(&[eviction("body")]).await.expect("published");
    let seen = within(DEADLINE, consumer.next()).await.expect("a delivery").expect("no error");
    let content_type = seen.properties.content_type().as_ref().map(ToString::to_string);
    assert_eq!(content_type.as_deref(), Some("application/x-cachesync-frame"));
    assert_eq!(*seen.properties.delivery_mode(), Some(1));
    let headers = seen.properties.headers().clone().expect("headers");
    let version = headers.inner().get("x-cachesync-version").cloned();
    assert_eq!(version, Some(AMQPValue::ShortShortUInt(codec::VERSION)));
}
