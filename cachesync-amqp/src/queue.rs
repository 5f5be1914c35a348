//! A session on a queue of its own: exclusive, bound to what the node wants to hear, new at each attempt.
//!
//! Whatever comes is for this node, so the broker does the sorting. The queue ends with the session, so there is nothing
//! to resume: each new session clears.

use std::sync::Arc;

use cachesync_core::{
    BackendError, BoxFuture, Name, Subscriber,
    backend::{Delivery, Interest},
};
use lapin::{
    Channel, Consumer,
    options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{
    connect::Attempt,
    error::Stage,
    intake::{self, Intake, PREFETCH},
    link::Link,
    names,
};

/// Declares, binds and consumes the queue of a new session.
pub(crate) async fn subscribe(
    attempt: &Attempt<'_>,
    link: &Arc<Link>,
    interest: Interest,
) -> Result<Box<dyn Subscriber>, BackendError> {
    let queue = names::queue(&interest);
    let exchange = attempt.exchange();
    let opening = open(link, exchange, &queue, names::bindings(&interest));
    let (channel, consumer) = attempt.amqp(Stage::Queue(&queue, exchange), opening).await?;
    tracing::debug!(exchange, queue, "a session with RabbitMQ is open");
    let intake = Intake::new(consumer, channel, "the session's queue", link.clone());
    Ok(Box::new(QueueSubscriber { intake, namespace: interest.namespace }))
}

async fn open(link: &Link, exchange: &str, queue: &str, bindings: Vec<String>) -> lapin::Result<(Channel, Consumer)> {
    let channel = link.connection().create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let ours_alone = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    // A virtual host may have another type as its default, and only a classic queue can be exclusive.
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    channel.queue_declare(queue.into(), ours_alone, arguments).await?;
    let last = bindings.len() - 1;
    for (index, binding) in bindings.into_iter().enumerate() {
        // A channel is in order: the answer to the last one stands for all, and a refusal ends the channel.
        let options = QueueBindOptions { nowait: index != last };
        channel.queue_bind(queue.into(), exchange.into(), binding.into(), options, FieldTable::default()).await?;
    }
    let consumer =
        channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await?;
    Ok((channel, consumer))
}

/// The receiving half of a session.
struct QueueSubscriber {
    intake: Intake,
    namespace: Name,
}

impl QueueSubscriber {
    /// Cancel safe, as [`Intake::next`] is.
    async fn receive(&mut self) -> Result<Delivery, BackendError> {
        let delivery = self.intake.next().await?;
        Ok(intake::read(&self.namespace, delivery, None))
    }
}

impl Subscriber for QueueSubscriber {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(self.receive())
    }
}
