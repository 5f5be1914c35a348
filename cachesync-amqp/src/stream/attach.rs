//! How a session on a stream is opened, and resumes.
//!
//! ```text
//! declare ──> consume from the end ──> bind for notes ──> publish a probe and a mark ──> read on to the mark
//!                                                                                          │
//!                        publish a hole ──> bind for all ──> read on to the hole <── no ───┤ did the probe come?
//!                                                                  │                       │ yes
//!                                                                  │  consume at the place remembered, if before the mark
//!                                                                  │                       │
//!                                                                  └──> not resumed <── no ┤ is it there?
//!                                                                                          └── yes ──> resumed
//! ```
//!
//! Invariants:
//! - who has read its own mark, or hole, hears everything that is published after it: the stream is bound, and there is one
//!   order of messages;
//! - no message that was confirmed is missing between two messages of a stream, unless there is a hole between them. An
//!   exchange that was deleted and made again has lost the stream's binding; until somebody binds it again, evictions are
//!   confirmed and go nowhere. It is one binding for all nodes, so who makes it anew hides its loss from the others: they
//!   go on reading, or resume, as if nothing had been. So nobody binds a stream for all messages without having written a
//!   hole into it, by way of the binding for notes: what comes through the new binding is behind the hole, for every
//!   reader. The probe tells whether the binding is there, since only that routes it; the mark tells when to stop waiting
//!   for the probe. A stream that has just been made begins with a hole;
//! - no step waits for a message that may never come. RabbitMQ says nothing to who consumes from an offset that is past the
//!   end, however long. So the place is looked for only if it is before the mark, which is there to be read.

use std::sync::Arc;

use cachesync_core::{
    BackendError, Name, Subscriber,
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
    names::{self, Note},
    publisher::{accepted, random_id},
};

/// The content type of a note.
const NOTE_CONTENT_TYPE: &str = "application/x-cachesync-note";

/// Subscribes to the stream, at the place of `resume` if it is still there; returns whether it was.
pub(crate) async fn subscribe(
    attempt: &Attempt<'_>,
    link: &Arc<Link>,
    publishing: &Channel,
    options: &Stream,
    interest: &Interest,
    resume: Option<Position>,
) -> Result<(Box<dyn Subscriber>, bool), BackendError> {
    let (exchange, namespace) = (attempt.exchange(), &interest.namespace);
    let stream = &options.name_for(exchange, namespace)?;
    let stage = Stage::Stream(stream, exchange);
    let opening = async {
        let channel = link.connection().create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(stream.as_str().into(), durable, options.arguments()).await?;
        let intake = consume(link, channel.clone(), stream, AMQPValue::LongString("next".into())).await?;
        // Behind the consumer in its channel: RabbitMQ answers that one before it has found the end of the stream, and
        // this one after that. What is published now has a place behind it.
        bind(&channel, stream, exchange, &names::notes_binding(namespace)).await?;
        Ok((channel, intake))
    };
    let (channel, intake) = attempt.amqp(stage, opening).await?;
    let mut at_end = StreamSubscriber::new(intake, interest);

    let (probe, mark) = (random_id(), random_id());
    let publish = async |note, id: &str| {
        let confirmation = attempt.amqp(stage, publish(publishing, exchange, namespace, note, id)).await?;
        accepted(&confirmation, exchange)
    };
    publish(Note::Probe, &probe).await?;
    publish(Note::Mark, &mark).await?;
    let (end, is_bound) = attempt.in_time(stage, at_end.skip_to(&mark, &probe)).await?;
    if !is_bound {
        let hole = random_id();
        publish(Note::Hole, &hole).await?;
        attempt.amqp(stage, bind(&channel, stream, exchange, &names::stream_binding(namespace))).await?;
        attempt.in_time(stage, at_end.skip_to(&hole, &hole)).await?;
        tracing::debug!(exchange, stream, end, "a session with RabbitMQ is open, on a stream that was not bound");
        return Ok((Box::new(at_end), false));
    }

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

/// Binds the stream to what has this pattern; answered by the broker.
async fn bind(channel: &Channel, stream: &str, exchange: &str, pattern: &str) -> lapin::Result<()> {
    let binding = QueueBindOptions::default();
    channel.queue_bind(stream.into(), exchange.into(), pattern.into(), binding, FieldTable::default()).await
}

/// Publishes a note, and waits until it is confirmed.
async fn publish(
    channel: &Channel,
    exchange: &str,
    namespace: &Name,
    note: Note,
    id: &str,
) -> lapin::Result<Confirmation> {
    let properties = BasicProperties::default().with_content_type(NOTE_CONTENT_TYPE.into()).with_message_id(id.into());
    let key = names::note(namespace, note);
    // Where there is no binding but that for notes, a probe goes nowhere.
    let options = BasicPublishOptions { mandatory: note != Note::Probe, ..BasicPublishOptions::default() };
    channel.basic_publish(exchange.into(), key.into(), options, &[], properties).await?.await
}
