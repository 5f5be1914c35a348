//! What the broker sends to a session, and its acknowledgement.
//!
//! Invariant: a message is acknowledged only after the next one was asked for, which says that it was applied; it is never
//! requeued, since a queue ends with its session, and a stream does not care. The broker keeps at most [`PREFETCH`]
//! messages under way, so a slow node leaves its backlog at the broker and not in its own memory.
//!
//! Nobody waits for an acknowledgement, and each is work for two programs while others wait for messages. So they are
//! gathered, and the few that are left when nothing comes follow after [`ACK_PAUSE`]: a broker gives up a consumer that
//! keeps a message for long.

use std::{sync::Arc, time::Duration};

use cachesync_core::{
    BackendError, Name,
    backend::{Delivery, Format, Position},
    codec,
};
use futures_util::{FutureExt, StreamExt};
use lapin::{Channel, Consumer, options::BasicAckOptions};
use tokio::time::{Instant, timeout_at};

use crate::{
    error::{lost, lost_by},
    link::Link,
    names,
};

/// How many messages the broker sends ahead of their acknowledgement.
pub(crate) const PREFETCH: u16 = 512;
/// Acknowledgements go out when this many are due, or when there is nothing else to do and one has been due for this long.
const ACK_BATCH: u16 = PREFETCH / 4;
const ACK_PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Intake {
    consumer: Consumer,
    channel: Channel,
    /// What it consumes, as errors call it.
    source: &'static str,
    acks: Acks,
    ended: bool,
    // Keeps the connection open as long as this half lives.
    _link: Arc<Link>,
}

impl Intake {
    pub(crate) fn new(consumer: Consumer, channel: Channel, source: &'static str, link: Arc<Link>) -> Self {
        Self { consumer, channel, source, acks: Acks::default(), ended: false, _link: link }
    }

    /// The next message. Those before it have been applied, or concern nobody here.
    ///
    /// Cancel safe: what is taken from the consumer is returned in the same poll, and an acknowledgement is queued as
    /// soon as it is counted as sent.
    pub(crate) async fn next(&mut self) -> Result<lapin::message::Delivery, BackendError> {
        if self.ended {
            return Err(lost("the session with RabbitMQ has ended; open a new one"));
        }
        self.acks.all_applied();
        // lapin's channel is not known to tokio: under a flood this would never be pending, and starve its neighbours.
        tokio::task::coop::consume_budget().await;
        self.acknowledge(ACK_BATCH)?;
        let delivery = loop {
            if let Some(delivery) = self.consumer.next().now_or_never() {
                break delivery;
            }
            let Some(due) = self.acks.due_at(Instant::now()) else { break self.consumer.next().await };
            match timeout_at(due, self.consumer.next()).await {
                Ok(delivery) => break delivery,
                Err(_) => self.acknowledge(1)?,
            }
        };
        match delivery {
            Some(Ok(delivery)) => {
                self.acks.delivered(delivery.delivery_tag);
                Ok(delivery)
            }
            Some(Err(error)) => Err(self.end(lost_by("waiting for messages", &error))),
            // The channel lives on, and publishing would go on being confirmed.
            None => Err(self.end(lost(format!("RabbitMQ cancelled the subscription: {} was deleted", self.source)))),
        }
    }

    /// The session has ended, for this reason.
    pub(crate) fn end(&mut self, error: BackendError) -> BackendError {
        self.ended = true;
        error
    }

    /// Acknowledges what was applied, if that is at least `batch` messages.
    fn acknowledge(&mut self, batch: u16) -> Result<(), BackendError> {
        let Some(tag) = self.acks.due(batch) else {
            return Ok(());
        };
        // The first poll queues it. That it could not be sent later is the end of the connection, and the consumer
        // says so.
        match self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).now_or_never() {
            Some(Err(error)) => Err(self.end(lost_by("acknowledging messages", &error))),
            _ => Ok(()),
        }
    }
}

/// What the engine is told of a message.
pub(crate) fn read(namespace: &Name, delivery: lapin::message::Delivery, position: Option<Position>) -> Delivery {
    let content_type = delivery.properties.content_type().as_ref().map_or("", |text| text.as_str());
    Delivery {
        format: format_of(content_type),
        cache: names::cache_of(namespace, delivery.routing_key.as_str()),
        body: bounded(delivery.data),
        position,
    }
}

/// Which deliveries are to be acknowledged.
#[derive(Debug, Default)]
struct Acks {
    /// The tag of the last delivery that was handed out.
    delivered: u64,
    /// The tag of the last one that was applied, and of the last one that was acknowledged.
    applied: u64,
    acknowledged: u64,
    /// Since when somebody has known that the first of them is due.
    since: Option<Instant>,
}

impl Acks {
    fn delivered(&mut self, tag: u64) {
        self.delivered = tag;
    }

    fn all_applied(&mut self) {
        self.applied = self.delivered;
    }

    /// The tag up to which everything is to be acknowledged now, if that is at least `batch` messages; it then counts
    /// as acknowledged.
    fn due(&mut self, batch: u16) -> Option<u64> {
        // The tags of a channel count up one by one.
        let due = self.applied - self.acknowledged >= u64::from(batch);
        due.then(|| {
            (self.acknowledged, self.since) = (self.applied, None);
            self.applied
        })
    }

    /// When what is due has waited for long enough; `None` if nothing is.
    fn due_at(&mut self, now: Instant) -> Option<Instant> {
        let is_due = self.applied > self.acknowledged;
        is_due.then(|| *self.since.get_or_insert(now) + ACK_PAUSE)
    }
}

/// Anything but JSON is taken for a frame: the decoder tells what is none.
fn format_of(content_type: &str) -> Format {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") { Format::Json } else { Format::Frame }
}

/// Cuts what no decoder would read, so that a huge message does not stay in memory. It remains one byte too long, by
/// which the decoder knows it.
fn bounded(mut body: Vec<u8>) -> Vec<u8> {
    if body.len() > codec::MAX_FRAME_BYTES {
        body.truncate(codec::MAX_FRAME_BYTES + 1);
        body.shrink_to_fit();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_acknowledged_only_after_it_was_applied() {
        let mut acks = Acks::default();
        acks.delivered(1);
        assert_eq!(acks.due(1), None);
        acks.all_applied();
        acks.delivered(2);
        assert_eq!(acks.due(1), Some(1));
        assert_eq!(acks.due(1), None);
    }

    #[test]
    fn acknowledgements_are_gathered() {
        let mut acks = Acks::default();
        for tag in 1..=3 {
            acks.delivered(tag);
            acks.all_applied();
        }
        assert_eq!(acks.due(4), None);
        assert_eq!(acks.due(3), Some(3));
    }

    #[test]
    fn an_acknowledgement_waits_for_its_pause_however_many_come_after_it() {
        let (mut acks, start) = (Acks::default(), Instant::now());
        assert_eq!(acks.due_at(start), None);
        for tag in 1..=3u32 {
            acks.delivered(tag.into());
            acks.all_applied();
            assert_eq!(acks.due_at(start + tag * ACK_PAUSE / 4), Some(start + ACK_PAUSE + ACK_PAUSE / 4));
        }
        assert_eq!(acks.due(1), Some(3));
        assert_eq!(acks.due_at(start), None);
        acks.delivered(4);
        assert_eq!(acks.due_at(start), None, "it is not applied");
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for json in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            assert_eq!(format_of(json), Format::Json, "{json}");
        }
        for frame in ["application/x-cachesync-frame", "", "text/json", "application/jsonl"] {
            assert_eq!(format_of(frame), Format::Frame, "{frame}");
        }
    }

    #[test]
    fn a_huge_body_is_cut_and_still_recognized_as_too_large() {
        let body = bounded(vec![0; 3 * codec::MAX_FRAME_BYTES]);
        assert_eq!(codec::decode(&body).unwrap_err().reason, codec::DecodeReason::TooLarge);
        assert!(body.capacity() < 2 * codec::MAX_FRAME_BYTES);
        assert_eq!(bounded(vec![0; codec::MAX_FRAME_BYTES]).len(), codec::MAX_FRAME_BYTES);
    }
}
