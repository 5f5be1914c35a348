//! The baseline over RabbitMQ: lapin, and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind, PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{FieldTable, ShortString},
};

/// A publisher and queues of as many consumers, each on a connection of its own as the nodes of a service.
pub struct Raw {
    channel: Channel,
    exchange: ShortString,
    received: Vec<Arc<AtomicU64>>,
    /// Open as long as this value.
    connections: Vec<Connection>,
    manner: Manner,
}

/// How lapin is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As costs least: a fanout exchange, and nothing is acknowledged.
    Least,
    /// As nodes have to: a topic exchange, since not every node has every cache, and what was received is acknowledged, since
    /// a broker would send a slow node all it has otherwise.
    AsNodes,
}

/// What a message is about, on a topic exchange.
const TOPIC: &str = "bench.users";
/// As many as a node takes, and acknowledges together.
const PREFETCH: u16 = 512;
const ACK_BATCH: u64 = 128;

impl Raw {
    /// Connects; `heard` is called with each message that a consumer receives, and which one that is.
    ///
    /// # Errors
    ///
    /// What lapin says.
    pub async fn connect(
        url: &str,
        consumers: usize,
        manner: Manner,
        heard: impl Fn(usize, &[u8]) + Clone + Send + 'static,
    ) -> Result<Self> {
        let exchange: ShortString = format!("raw-{:016x}", fastrand::u64(..)).into();
        let publisher = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = publisher.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
        let kind = if manner == Manner::Least { ExchangeKind::Fanout } else { ExchangeKind::Topic };
        channel.exchange_declare(exchange.clone(), kind, options, FieldTable::default()).await?;
        let mut raw = Self { channel, exchange, received: Vec::new(), connections: vec![publisher], manner };
        for index in 0..consumers {
            let heard = heard.clone();
            raw.add_consumer(url, move |body| heard(index, body)).await?;
        }
        Ok(raw)
    }

    async fn add_consumer(&mut self, url: &str, heard: impl Fn(&[u8]) + Send + 'static) -> Result<()> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let none = FieldTable::default;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), options, none()).await?.name().clone();
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue.clone(), self.exchange.clone(), TOPIC.into(), bind, none()).await?;
        let acknowledges = self.manner == Manner::AsNodes;
        if acknowledges {
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        }
        let options = BasicConsumeOptions { no_ack: !acknowledges, ..BasicConsumeOptions::default() };
        let mut consumer = channel.basic_consume(queue, "".into(), options, none()).await?;
        let received = Arc::new(AtomicU64::new(0));
        self.received.push(received.clone());
        self.connections.push(connection);
        tokio::spawn(async move {
            // A channel that is dropped is closed.
            let _channel = channel;
            while let Some(Ok(delivery)) = consumer.next().await {
                heard(&delivery.data);
                received.fetch_add(1, Ordering::Relaxed);
                if acknowledges && delivery.delivery_tag.is_multiple_of(ACK_BATCH) {
                    let all = BasicAckOptions { multiple: true };
                    delivery.acker.ack(all).await.expect("the broker runs");
                }
            }
        });
        Ok(())
    }

    /// Publishes `body`; what is returned resolves when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// What lapin says.
    pub async fn publish(&self, body: &[u8]) -> Result<PublisherConfirm> {
        let (exchange, options) = (self.exchange.clone(), BasicPublishOptions::default());
        Ok(self.channel.basic_publish(exchange, TOPIC.into(), options, body, BasicProperties::default()).await?)
    }

    /// Publishes `count` messages of this body, each when the one before is confirmed.
    ///
    /// # Errors
    ///
    /// What lapin says.
    pub async fn publish_one_by_one(&self, count: usize, body: &[u8]) -> Result<()> {
        for _ in 0..count {
            self.publish(body).await?.await?;
        }
        Ok(())
    }

    /// Publishes `count` messages of this body and then waits for their confirms.
    ///
    /// # Errors
    ///
    /// What lapin says.
    pub async fn publish_at_once(&self, count: usize, body: &[u8]) -> Result<()> {
        let mut confirms = Vec::with_capacity(count);
        for _ in 0..count {
            confirms.push(self.publish(body).await?);
        }
        for confirm in confirms {
            confirm.await?;
        }
        Ok(())
    }

    /// How many messages the consumer that has the fewest has received.
    pub fn received(&self) -> u64 {
        fewest(&self.received)
    }
}

pub(crate) fn fewest(received: &[Arc<AtomicU64>]) -> u64 {
    received.iter().map(|received| received.load(Ordering::Relaxed)).min().unwrap_or(0)
}

/// Waits for a condition without keeping a processor busy; looks at it every millisecond.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
