//! How a session on a stream is opened, and resumes.
//!
//! ```text
//!       ┌── there, and as asked for? ── no, or not bound ──> take the turn, look again ── bound now ──┐
//!       │ yes                                ^                   │                                   │
//!       v                                    │                   v                                   │
//! consume from the end                       │      delete it if it is not bound                     │
//! publish a probe and a mark                 │      make it, and bind it ────────────────────────────┤
//! read on to the mark: did the probe come? ──┘ no                                                    │
//!       │ yes                                                                                        │
//!       v                                                                                            │
//! consume at the place remembered, if before the mark <───────────────────────────────────────────────┘
//!       └── is it there? ── yes ──> resumed
//!                        └─ no ───> not resumed, from the mark on
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
//! - one node at a time makes a stream, or deletes one: the one that has the turn, which is an exclusive queue, so that it ends
//!   with its node's connection. A stream that somebody has made and not yet bound looks like one that has lost its binding, so
//!   that it has none counts only if nobody else has the turn. Nobody binds without the turn, either. RabbitMQ 3.10.8 ends the
//!   connections of those that declare one stream at the same time, and of who consumes one that is being made;
//! - no step waits for a message that may never come. RabbitMQ says nothing to who consumes from an offset that is past the
//!   end, however long. So the place is looked for only if it is before the mark, which is there to be read. It may say
//!   nothing to who consumes a stream while another node deletes it, either; so who has not the turn waits a third of the
//!   time for the mark, and looks again.

use std::{sync::Arc, time::Duration};

use cachesync_core::{
    BackendError, BackendErrorKind, Subscriber,
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
    error::{Stage, is_locked, is_not_found, is_not_there, lost},
    intake::{Intake, PREFETCH},
    link::Link,
    names::{self, Note},
    publisher::{accepted, random_id},
};

/// How long to wait for a node that makes or deletes the stream, before it is looked at again.
const PATIENCE: Duration = Duration::from_millis(50);
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
    let (at_end, end) = steps.attach().await.map_err(|error| {
        let is_held_back = error.kind() == BackendErrorKind::Timeout && link.is_blocked();
        if is_held_back { attempt.held_back() } else { error }
    })?;

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
    Ok((at_end, false))
}

/// What was found where the stream should be.
enum Found {
    /// It is there, bound, and consumed; its end is at this offset.
    Attached(Box<StreamSubscriber>, u64),
    Missing,
    /// Messages may be missing from it.
    Unbound,
}

/// Why nothing was found.
enum Failed {
    /// It may be that another node is making the stream, or deleting it.
    ForNow(BackendError),
    ForGood(BackendError),
}

impl Failed {
    fn into_error(self) -> BackendError {
        match self {
            Self::ForNow(error) | Self::ForGood(error) => error,
        }
    }
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::ForGood(error)
    }
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

    /// Reads the stream from its end on, and tells where that is. Makes it, where it is not there or not bound.
    async fn attach(&self) -> Result<(Box<StreamSubscriber>, u64), BackendError> {
        loop {
            // Nearly always it is there and bound, and all nodes may look at once. If not, it may be in the hands of another
            // node, with which anything can come of looking: refusals, the end of the consumer, or nothing at all, where
            // the stream is deleted as it is consumed.
            match timeout(self.attempt.left() / 3, self.look()).await {
                Ok(Ok(Found::Attached(at_end, end))) => return Ok((at_end, end)),
                Ok(Err(Failed::ForGood(error))) => return Err(error),
                Ok(Ok(Found::Missing | Found::Unbound) | Err(Failed::ForNow(_))) | Err(_) => {}
            }
            if let Some(turn) = self.take_turn().await? {
                let attached = self.attach_in_turn().await?;
                self.attempt.amqp(self.stage(), self.end_turn(&turn)).await?;
                return Ok(attached);
            }
            sleep(PATIENCE.min(self.attempt.left())).await;
        }
    }

    /// The same, where no other node makes or deletes the stream meanwhile: what is found is so, and what fails fails.
    async fn attach_in_turn(&self) -> Result<(Box<StreamSubscriber>, u64), BackendError> {
        let (exchange, stream) = (self.exchange, self.stream);
        match self.look().await.map_err(Failed::into_error)? {
            Found::Attached(at_end, end) => return Ok((at_end, end)),
            Found::Missing => {}
            Found::Unbound => {
                tracing::warn!(
                    exchange,
                    stream,
                    "the stream was not bound, so messages may be missing: it is made anew, and all nodes clear"
                );
                self.delete().await?;
            }
        }
        self.attempt.amqp(self.stage(), self.make()).await?;
        match self.look().await.map_err(Failed::into_error)? {
            Found::Attached(at_end, end) => Ok((at_end, end)),
            Found::Missing | Found::Unbound => Err(lost(format!(
                "the stream `{stream}` was deleted, or its binding to `{exchange}`, as soon as it was made; look for who does that"
            ))),
        }
    }

    /// Asks to be the one node that makes or deletes the stream; `None` while another is. It ends with the connection at the
    /// latest.
    async fn take_turn(&self) -> Result<Option<Channel>, BackendError> {
        let connection = self.link.connection();
        let declaring = async {
            let channel = connection.create_channel().await?;
            let ours_alone = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
            match channel.queue_declare(names::turn(self.stream).into(), ours_alone, arguments).await {
                Ok(_) => Ok(Some(channel)),
                Err(error) if is_locked(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.attempt.amqp(self.stage(), declaring).await
    }

    async fn end_turn(&self, channel: &Channel) -> lapin::Result<()> {
        channel.queue_delete(names::turn(self.stream).into(), QueueDeleteOptions::default()).await.map(|_| ())
    }

    /// Makes the stream, and binds it for all messages of the namespace.
    async fn make(&self) -> lapin::Result<()> {
        let channel = self.link.connection().create_channel().await?;
        self.declare(&channel).await?;
        self.bind(&channel, names::stream_binding(&self.interest.namespace)).await
    }

    /// Reads the stream from its end on, if it is there and bound.
    async fn look(&self) -> Result<Found, Failed> {
        let intake = match self.attempt.in_time(self.stage(), async { Ok(self.open().await) }).await? {
            Ok(Some(intake)) => intake,
            Ok(None) => return Ok(Found::Missing),
            Err(error) => {
                let refused = self.attempt.refused(self.stage(), &error);
                return Err(if is_not_there(&error) { Failed::ForNow(refused) } else { Failed::ForGood(refused) });
            }
        };
        let mut at_end = Box::new(StreamSubscriber::new(intake, self.interest));
        match self.probe(&mut at_end).await {
            Ok(Some(end)) => Ok(Found::Attached(at_end, end)),
            Ok(None) => Ok(Found::Unbound),
            // The stream is gone, and not the connection.
            Err(error) if error.kind() == BackendErrorKind::Lost && self.link.connection().status().connected() => {
                Err(Failed::ForNow(error))
            }
            Err(error) => Err(Failed::ForGood(error)),
        }
    }

    /// Consumes the stream from its end on; `None` if there is none.
    async fn open(&self) -> lapin::Result<Option<Intake>> {
        let connection = self.link.connection();
        // That it is not there ends the channel that asks.
        let asking = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let channel = connection.create_channel().await?;
        match channel.queue_declare(self.stream.into(), asking, FieldTable::default()).await {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        // Whether it is as it is asked for.
        self.declare(&channel).await?;
        let intake = self.consume(channel.clone(), AMQPValue::LongString("next".into())).await?;
        // Behind the consumer in its channel: RabbitMQ answers that one before it has found the end of the stream, and
        // this one after that. What is published now has a place behind it.
        self.bind(&channel, names::marks_binding(&self.interest.namespace)).await?;
        Ok(Some(intake))
    }

    async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(self.stream.into(), durable, self.options.arguments()).await.map(|_| ())
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
