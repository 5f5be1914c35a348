//! How a session on a stream is opened, and resumes.
//!
//! ```text
//! declare ──> consume from the end ──> bind ──> publish a mark ──> read on to the mark
//!                                                                        │
//!                                   consume from the place remembered <──┤ if it is before the mark
//!                                                    │                   │
//!                                        is it there? ├── yes: resumed    │
//!                                                    └── no ─────────────┴──> not resumed, from the mark on
//! ```
//!
//! Invariants:
//! - who has read its own mark hears everything that is published after it: the stream is bound, and there is one order.
//!   Each session binds anew, since an exchange that was deleted and made again has lost the binding;
//! - no step waits for a message that may never come. RabbitMQ says nothing to who consumes from an offset that is past the
//!   end, however long. So the place is looked for only if it is before the mark, which is there to be read.

use std::sync::Arc;

use cachesync_core::{
    BackendError, Subscriber,
    backend::{Interest, Position},
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::time::timeout;

use super::{Stream, subscriber::StreamSubscriber, trail::Place};
use crate::{
    connect::Attempt,
    error::Stage,
    intake::{Intake, PREFETCH},
    link::Link,
    names,
    publisher::{accepted, random_id},
};

/// The content type of a mark.
const MARK_CONTENT_TYPE: &str = "application/x-cachesync-mark";

/// Subscribes to the stream, at the place of `resume` if it is still there; returns whether it was.
pub(crate) async fn subscribe(
    attempt: &Attempt<'_>,
    link: &Arc<Link>,
    publishing: &Channel,
    options: &Stream,
    interest: &Interest,
    resume: Option<Position>,
) -> Result<(Box<dyn Subscriber>, bool), BackendError> {
    let exchange = attempt.exchange();
    let stream = &options.name_for(exchange, &interest.namespace)?;
    let stage = Stage::Stream(stream, exchange);
    let opening = async {
        let channel = link.connection().create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(stream.as_str().into(), durable, options.arguments()).await?;
        let intake = consume(link, channel.clone(), stream, AMQPValue::LongString("next".into())).await?;
        // Behind the consumer in its channel: RabbitMQ answers that one before it has found the end of the stream, and
        // this one after that. What is published now has a place behind it.
        let pattern = names::stream_binding(&interest.namespace);
        let binding = QueueBindOptions::default();
        channel
            .queue_bind(stream.as_str().into(), exchange.into(), pattern.into(), binding, FieldTable::default())
            .await?;
        Ok(intake)
    };
    let mut at_end = StreamSubscriber::new(attempt.amqp(stage, opening).await?, interest);

    let mark = random_id();
    let confirmation = attempt.amqp(stage, publish_mark(publishing, exchange, interest, &mark)).await?;
    accepted(&confirmation, exchange)?;
    let end = attempt.in_time(stage, at_end.skip_to(&mark)).await?;

    if let Some(place) = resume.as_ref().and_then(Place::of).filter(|place| place.last < end) {
        let looking = attempt.in_time(stage, async {
            let channel = attempt.amqp(stage, link.connection().create_channel()).await?;
            let offset = AMQPValue::LongLongInt(i64::try_from(place.start).unwrap_or(i64::MAX));
            let intake = attempt.amqp(stage, consume(link, channel, stream, offset)).await?;
            let mut there = StreamSubscriber::new(intake, interest);
            Ok(there.find(place).await?.then_some(there))
        });
        // A place that cannot be reached in time is no reason to have no session.
        match timeout(attempt.left() / 2, looking).await {
            Ok(Ok(Some(there))) => {
                tracing::debug!(exchange, stream, from = place.last, end, "a session with RabbitMQ has resumed");
                return Ok((Box::new(there), true));
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(None)) | Err(_) => {
                tracing::debug!(exchange, stream, from = place.last, end, "the place to resume at is not there");
            }
        }
    }
    tracing::debug!(exchange, stream, end, "a session with RabbitMQ is open");
    Ok((Box::new(at_end), false))
}

/// Consumes the stream from there on.
async fn consume(link: &Arc<Link>, channel: Channel, stream: &str, offset: AMQPValue) -> lapin::Result<Intake> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), offset);
    let consumer = channel.basic_consume(stream.into(), "".into(), BasicConsumeOptions::default(), arguments).await?;
    Ok(Intake::new(consumer, channel, "the stream", link.clone()))
}

/// Publishes what this session alone waits for; other nodes drop it.
async fn publish_mark(channel: &Channel, exchange: &str, interest: &Interest, id: &str) -> lapin::Result<Confirmation> {
    let properties = BasicProperties::default().with_content_type(MARK_CONTENT_TYPE.into()).with_message_id(id.into());
    let key = names::mark(&interest.namespace, interest.node);
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel.basic_publish(exchange.into(), key.into(), mandatory, &[], properties).await?.await
}
