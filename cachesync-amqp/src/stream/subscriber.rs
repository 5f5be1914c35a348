//! The receiving half of a session on a stream.
//!
//! Invariant: every message from the session's first on is read, in the order of the stream, and what is for this node is
//! delivered. A stream is one order of messages for all nodes, and a message is confirmed when it has its place in it: so
//! what was confirmed before a heartbeat of this node was sent has a lower offset than that, and is delivered before it
//! (rule R6). Where the broker leaves something out, the session ends (rule R5).

use cachesync_core::{
    BackendError, BoxFuture, Name, Subscriber,
    backend::{Delivery, Interest},
};
use lapin::types::{AMQPValue, ShortString};

use super::trail::{Place, Read, Trail};
use crate::{
    error::lost,
    intake::{self, Intake},
    names::Wanted,
};

/// The header of each delivery of a stream.
const OFFSET_HEADER: &str = "x-stream-offset";

pub(super) struct StreamSubscriber {
    intake: Intake,
    namespace: Name,
    wanted: Wanted,
    trail: Trail,
}

impl StreamSubscriber {
    pub(super) fn new(intake: Intake, interest: &Interest) -> Self {
        let namespace = interest.namespace.clone();
        Self { intake, namespace, wanted: Wanted::of(interest), trail: Trail::new(interest) }
    }

    /// Reads on to the note with the id `end`; returns its offset, and whether the one with the id `other` came before.
    pub(super) async fn skip_to(&mut self, end: &str, other: &str) -> Result<(u64, bool), BackendError> {
        let mut has_come = false;
        loop {
            let (offset, delivery) = self.read().await?;
            let id = delivery.properties.message_id().as_ref().map(ShortString::as_str);
            has_come |= id == Some(other);
            if id == Some(end) {
                return Ok((offset, has_come));
            }
        }
    }

    /// Reads on from the beginning of `place` to its end; returns whether it is there. The stream must have a message
    /// after it, or this waits for one.
    pub(super) async fn find(&mut self, place: Place) -> Result<bool, BackendError> {
        loop {
            let (offset, _) = self.read().await?;
            // Every step goes on in the stream, so this ends.
            match self.trail.place() {
                Some(here) if here.start == place.start && offset < place.last => {}
                here => return Ok(here == Some(place)),
            }
        }
    }

    /// The next message, whomever it is for. Cancel safe, as [`Intake::next`] is.
    async fn read(&mut self) -> Result<(u64, lapin::message::Delivery), BackendError> {
        let delivery = self.intake.next().await?;
        let Some(offset) = offset_of(&delivery) else {
            return Err(self
                .intake
                .end(lost("RabbitMQ sent a message without its offset: what is consumed is no stream")));
        };
        let read = Read {
            offset,
            routing_key: delivery.routing_key.as_str(),
            id: delivery.properties.message_id().as_ref().map(ShortString::as_str),
            body: &delivery.data,
        };
        if self.trail.follow(&read).is_err() {
            return Err(self.intake.end(lost(
                "RabbitMQ has dropped messages of the stream that this node had yet to read; let the stream keep more with \
                 `max_bytes`, and check the load of this node",
            )));
        }
        Ok((offset, delivery))
    }

    /// Cancel safe: what is not for this node is done with as soon as it was read.
    async fn receive(&mut self) -> Result<Delivery, BackendError> {
        loop {
            let (_, delivery) = self.read().await?;
            if self.wanted.has(delivery.routing_key.as_str()) {
                let position = self.trail.place().map(Place::to_position);
                return Ok(intake::read(&self.namespace, delivery, position));
            }
        }
    }
}

impl Subscriber for StreamSubscriber {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(self.receive())
    }
}

fn offset_of(delivery: &lapin::message::Delivery) -> Option<u64> {
    match delivery.properties.headers().as_ref()?.inner().get(OFFSET_HEADER)? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}
