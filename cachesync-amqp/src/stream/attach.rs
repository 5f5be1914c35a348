//! How a session on a stream is opened, and resumes.
//!
//! ```text
//! declare, and if it is new bind ──> consume from the end ──> publish a probe and a mark ──> read on to the mark
//!    ^                                                                                          │
//!    └── delete, as messages may be missing from it <── no ── did the probe come, once or later? ┤
//!                                                                                               │ yes
//!                                                       consume at the place remembered, if before the mark
//!                                                                                               │
//!                                      not resumed, from the mark on <── no ── is it there? ─────┤
//!                                                                                               └─ yes ─> resumed
//! ```
//!
//! Invariants:
//! - who has read its own mark hears everything that is published after it: the stream is bound, and there is one order of
//!   messages;
//! - no message that was confirmed is missing between two messages of a stream. An exchange that was deleted and made again
//!   has lost the stream's binding; until somebody binds it again, evictions are confirmed and go nowhere. It is one binding
//!   for all nodes, so who made it anew would hide its loss from the others: they would go on reading, or resume, as if
//!   nothing had been. So a stream is bound when it is made, and never again. One that is found without its binding is
//!   deleted, which ends the sessions of all nodes, and they find their places in it no more. The probe tells, since it is
//!   routed by that binding alone; the mark, which has another, tells when to stop waiting for the probe;
//! - no step waits for a message that may never come. RabbitMQ says nothing to who consumes from an offset that is past the
//!   end, however long. So the place is looked for only if it is before the mark, which is there to be read.

use std::{sync::Arc, time::Duration};

use cachesync_core::{
    BackendError, Subscriber,
    backend::{Interest, Position},
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::time::{sleep, timeout};

use super::{Stream, subscriber::StreamSubscriber, trail::Place};
use crate::{
    connect::Attempt,
    error::{Stage, is_not_found},
    intake::{Intake, PREFETCH},
    link::Link,
    names::{self, Note},
    publisher::{accepted, random_id},
};

/// How long who has made a stream may take to bind it.
const PATIENCE: Duration = Duration::from_millis(200);
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
    let exchange = attempt.exchange();
    let stream = &options.name_for(exchange, &interest.namespace)?;
    let stage = Stage::Stream(stream, exchange);
    let steps = Steps { attempt, link, publishing, options, interest, exchange, stream };
    let (at_end, end) = loop {
        if let Some(attached) = steps.attach().await? {
            break attached;
        }
        tracing::warn!(
            exchange,
            stream,
            "the stream was not bound, so messages may be missing: it is made anew, and all nodes clear"
        );
        steps.delete().await?;
    };

    if let Some(place) = resume.as_ref().and_then(Place::of).filter(|place| place.last < end) {
        let looking = attempt.in_time(stage, async {
            let channel = attempt.amqp(stage, link.connection().create_channel()).await?;
            let offset = AMQPValue::LongLongInt(i64::try_from(place.start).unwrap_or(i64::MAX));
            let intake = attempt.amqp(stage, steps.consume(channel, offset)).await?;
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

/// What the steps of one attempt have in common.
struct Steps<'a> {
    attempt: &'a Attempt<'a>,
    link: &'a Arc<Link>,
    publishing: &'a Channel,
    options: &'a Stream,
    interest: &'a Interest,
    exchange: &'a str,
    /// Its name.
    stream: &'a str,
}

impl Steps<'_> {
    fn stage(&self) -> Stage<'_> {
        Stage::Stream(self.stream, self.exchange)
    }

    /// Reads the stream from its end on, and tells where that is; `None` if the stream is not bound.
    async fn attach(&self) -> Result<Option<(StreamSubscriber, u64)>, BackendError> {
        let intake = self.attempt.amqp(self.stage(), self.open()).await?;
        let mut at_end = StreamSubscriber::new(intake, self.interest);
        let first = self.probe(&mut at_end).await?;
        if first.is_some() {
            return Ok(first.map(|end| (at_end, end)));
        }
        // Somebody may be about to bind it, who has just made it.
        sleep(PATIENCE).await;
        Ok(self.probe(&mut at_end).await?.map(|end| (at_end, end)))
    }

    /// Declares the stream, and consumes it from its end on.
    async fn open(&self) -> lapin::Result<Intake> {
        let connection = self.link.connection();
        // That it is not there ends the channel that asks.
        let asking = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let channel = connection.create_channel().await?;
        let is_new = match channel.queue_declare(self.stream.into(), asking, FieldTable::default()).await {
            Ok(_) => false,
            Err(error) if is_not_found(&error) => true,
            Err(error) => return Err(error),
        };
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(self.stream.into(), durable, self.options.arguments()).await?;
        if is_new {
            self.bind(&channel, names::stream_binding(&self.interest.namespace)).await?;
        }
        let intake = self.consume(channel.clone(), AMQPValue::LongString("next".into())).await?;
        // Behind the consumer in its channel: RabbitMQ answers that one before it has found the end of the stream, and
        // this one after that. What is published now has a place behind it.
        self.bind(&channel, names::marks_binding(&self.interest.namespace)).await?;
        Ok(intake)
    }

    /// Publishes a probe and a mark, and reads on to the mark; returns its offset, or `None` if the probe did not come.
    async fn probe(&self, at_end: &mut StreamSubscriber) -> Result<Option<u64>, BackendError> {
        let (probe, mark) = (random_id(), random_id());
        for (note, id) in [(Note::Probe, &probe), (Note::Mark, &mark)] {
            let confirmation = self.attempt.amqp(self.stage(), self.publish(note, id)).await?;
            accepted(&confirmation, self.exchange)?;
        }
        let (end, is_bound) = self.attempt.in_time(self.stage(), at_end.skip_to(&mark, &probe)).await?;
        Ok(is_bound.then_some(end))
    }

    /// Deletes the stream, which ends all sessions on it.
    async fn delete(&self) -> Result<(), BackendError> {
        let deleting = async {
            let channel = self.link.connection().create_channel().await?;
            channel.queue_delete(self.stream.into(), QueueDeleteOptions::default()).await
        };
        self.attempt.amqp(self.stage(), deleting).await.map(|_| ())
    }

    /// Consumes the stream from there on.
    async fn consume(&self, channel: Channel, offset: AMQPValue) -> lapin::Result<Intake> {
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), offset);
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(self.stream.into(), "".into(), options, arguments).await?;
        Ok(Intake::new(consumer, channel, "the stream", self.link.clone()))
    }

    /// Binds the stream to what has this pattern; answered by the broker.
    async fn bind(&self, channel: &Channel, pattern: String) -> lapin::Result<()> {
        let binding = QueueBindOptions::default();
        channel
            .queue_bind(self.stream.into(), self.exchange.into(), pattern.into(), binding, FieldTable::default())
            .await
    }

    /// Publishes a note, and waits until it is confirmed.
    async fn publish(&self, note: Note, id: &str) -> lapin::Result<Confirmation> {
        let properties =
            BasicProperties::default().with_content_type(NOTE_CONTENT_TYPE.into()).with_message_id(id.into());
        let key = names::note(&self.interest.namespace, note);
        // A probe may go nowhere.
        let options = BasicPublishOptions { mandatory: note == Note::Mark, ..BasicPublishOptions::default() };
        self.publishing.basic_publish(self.exchange.into(), key.into(), options, &[], properties).await?.await
    }
}
