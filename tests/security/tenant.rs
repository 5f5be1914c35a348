//! Another user of the broker, who may write to the exchange and read from it, where the nodes share a key.

use cachesync::{Registry, SharedKeys};
use cachesync_core::{codec, frame::NodeId, mac::MacKey};
use cachesync_tests::{
    broker::Broker,
    wait::{DEADLINE, eventually, within},
};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};

use crate::node;

/// Hears everything on the exchange.
struct Tenant {
    _connection: Connection,
    channel: Channel,
    recording: Consumer,
}

impl Tenant {
    async fn at(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare("tenants".into(), exclusive, FieldTable::default()).await.unwrap();
        let bind = QueueBindOptions::default();
        channel
            .queue_bind("tenants".into(), "cachesync".into(), "#".into(), bind, FieldTable::default())
            .await
            .unwrap();
        let consume = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let recording =
            channel.basic_consume("tenants".into(), "".into(), consume, FieldTable::default()).await.unwrap();
        Self { _connection: connection, channel, recording }
    }

    async fn recorded(&mut self) -> Delivery {
        within(DEADLINE, self.recording.next()).await.unwrap().unwrap()
    }

    async fn publish(&self, routing_key: &str, content_type: &str, body: &[u8]) {
        let properties = BasicProperties::default().with_content_type(content_type.into());
        let options = BasicPublishOptions::default();
        self.channel.basic_publish("cachesync".into(), routing_key.into(), options, body, properties).await.unwrap();
    }
}

fn refused(registry: &Registry) -> u64 {
    let refused = registry.stats().refused;
    refused.unsigned + refused.malformed + refused.forged + refused.replayed + refused.misaddressed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_who_may_write_and_read_can_neither_evict_nor_play_back() {
    let broker = Broker::shared_private();
    broker.ctl(&["add_user", "hostile", "hunter2"]);
    broker.ctl(&["set_permissions", "hostile", "^tenants$", "^(tenants|cachesync)$", "^(tenants|cachesync)$"]);
    let keys = || SharedKeys::new(1, [1; 32]).unwrap();
    let start = async || node(broker.url(), "keyed").shared_keys(keys()).start().await.unwrap();
    let (one, other) = (start().await, start().await);
    let (here, there) = (one.cache::<u64, u64>("users").unwrap(), other.cache::<u64, u64>("users").unwrap());
    let mut tenant = Tenant::at(&broker.url_with("hostile", "hunter2", "%2f")).await;

    // It hears what is evicted, and heartbeats of both nodes.
    let mut recorded = Vec::new();
    there.evict(&1);
    other.flush().await.unwrap();
    eventually(DEADLINE, || one.stats().frames_applied == 1).await;
    while recorded.iter().filter(|one: &&Delivery| one.routing_key.as_str().contains("~heartbeat")).count() < 4
        || !recorded.iter().any(|one: &Delivery| one.routing_key.as_str() == "keyed.users")
    {
        let delivery = tenant.recorded().await;
        if delivery.routing_key.as_str().starts_with("keyed.") {
            recorded.push(delivery);
        }
    }
    let frames: Vec<_> = recorded.iter().filter(|one| one.routing_key.as_str() == "keyed.users").collect();
    let eviction = frames[0].data.clone();

    for key in 1..=100 {
        here.insert(key, key);
    }
    one.flush().await.unwrap();
    let before = (here.stats(), one.stats().gaps);
    let forger = MacKey::new(1, &[2; 32]).unwrap();
    let namespace = "keyed".parse().unwrap();
    let mut sent = 0;
    for round in 0..500u64 {
        for delivery in &recorded {
            // Heartbeats of both nodes too, to themselves.
            tenant.publish(delivery.routing_key.as_str(), "application/x-cachesync-frame", &delivery.data).await;
        }
        let mut frame = codec::decode(&eviction).unwrap();
        (frame.origin, frame.sequence, frame.authentication) = (NodeId(round.into()), round, None);
        let unsigned = codec::encode(&frame);
        let signed = forger.sign(&namespace, &unsigned, frame.sent_at).unwrap();
        let garbage: Vec<u8> = (0..round % 300).map(|_| rand::random()).collect();
        for body in [&unsigned, &signed, &garbage] {
            tenant.publish("keyed.users", "application/x-cachesync-frame", body).await;
        }
        tenant.publish("keyed.users", "application/json", br#"{"cache": "users", "all": true}"#).await;
        sent += 4 + frames.len() as u64;
        if round % 100 == 0 {
            for key in 1..=100 {
                assert_eq!(here.get(&key), Some(key), "hits go on");
            }
        }
    }
    eventually(DEADLINE, || refused(&one) >= sent).await;
    let after = here.stats();
    assert_eq!(
        (after.evicted_by_others, after.cleared, one.stats().gaps, one.stats().bad_messages, here.len()),
        (before.0.evicted_by_others, 0, before.1, 0, 100)
    );
    assert_eq!((one.stats().sessions, one.status().last_error), (1, None));
    // And nodes still hear each other.
    there.evict(&50);
    eventually(DEADLINE, || here.get(&50).is_none()).await;
    assert_eq!(here.len(), 99);
    for registry in [one, other] {
        registry.shutdown().await.unwrap();
    }
}
