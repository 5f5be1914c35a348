//! The sending half of a session.
//!
//! Invariant: there is one publisher per channel, and it is used by one task at a time; lapin attributes returned
//! messages to whichever publish is confirmed next. Only heartbeats can be returned, so any returned message says that
//! a heartbeat did not reach its queue.

use std::{pin::Pin, sync::Arc, task::Poll, time::Duration};

use cachesync_core::{
    BackendError, BackendErrorKind, BoxFuture, Name, Publisher,
    backend::{Message, Topic},
    codec,
};
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use tokio::time::timeout;

use crate::{
    AmqpBackend,
    error::{HELD_BACK, lost, lost_by},
    link::Link,
    names,
};

/// The content type of a frame.
pub(crate) const FRAME_CONTENT_TYPE: &str = "application/x-cachesync-frame";
/// The header with the version of the frame's encoding.
const VERSION_HEADER: &str = "x-cachesync-version";
/// AMQP's number for a message that the broker need not write to disk.
const TRANSIENT: u8 = 1;
/// How many messages, and how many bytes of them, wait for their confirms at once.
const WINDOW_MESSAGES: usize = 256;
const WINDOW_BYTES: usize = 1024 * 1024;

pub(crate) struct AmqpPublisher {
    channel: Channel,
    link: Arc<Link>,
    namespace: Name,
    exchange: String,
    properties: BasicProperties,
    publish_timeout: Duration,
    close_timeout: Duration,
    /// Whether a publish has failed, or was dropped before its end: nobody knows then what was sent.
    broken: bool,
}

impl AmqpPublisher {
    pub(crate) fn new(channel: Channel, link: Arc<Link>, namespace: Name, backend: &AmqpBackend) -> Self {
        let mut headers = FieldTable::default();
        headers.insert(VERSION_HEADER.into(), AMQPValue::ShortShortUInt(codec::VERSION));
        Self {
            channel,
            link,
            namespace,
            exchange: backend.exchange.clone(),
            properties: BasicProperties::default()
                .with_content_type(FRAME_CONTENT_TYPE.into())
                .with_delivery_mode(TRANSIENT)
                .with_headers(headers),
            publish_timeout: backend.publish_timeout,
            close_timeout: backend.close_timeout,
            broken: false,
        }
    }

    async fn publish_all(&mut self, messages: &[Message]) -> Result<(), BackendError> {
        if self.broken {
            return Err(lost("an earlier publish of this session has failed or was cancelled; open a new session"));
        }
        self.broken = true;
        for window in windows(messages) {
            match timeout(self.publish_timeout, self.publish_window(window)).await {
                Ok(result) => result?,
                Err(_) => return Err(self.out_of_time()),
            }
        }
        self.broken = false;
        Ok(())
    }

    async fn publish_window(&self, messages: &[Message]) -> Result<(), BackendError> {
        let ended = |error: lapin::Error| lost_by("publishing", &error);
        // The first poll queues a message, the rest waits until it is on the socket: polled one after the other, they
        // go out in order and together.
        let mut sending = Vec::with_capacity(messages.len());
        for message in messages {
            let mut publish = Box::pin(self.publish_one(message));
            match std::future::poll_fn(|context| Poll::Ready(publish.as_mut().poll(context))).await {
                Poll::Ready(sent) => sending.push(Sending::Sent(sent.map_err(ended)?)),
                Poll::Pending => sending.push(Sending::Queued(publish)),
            }
        }
        for message in sending {
            let sent = match message {
                Sending::Sent(sent) => sent,
                Sending::Queued(publish) => publish.await.map_err(ended)?,
            };
            accepted(&sent.await.map_err(ended)?, &self.exchange)?;
        }
        Ok(())
    }

    async fn publish_one(&self, message: &Message) -> lapin::Result<PublisherConfirm> {
        // An eviction that no node is interested in is fine. A heartbeat has one receiver, ourselves.
        let mandatory = matches!(message.topic, Topic::Heartbeat(_));
        let mut properties = self.properties.clone();
        if mandatory {
            // By which a stream that holds it is known again.
            properties = properties.with_message_id(random_id().into());
        }
        self.channel
            .basic_publish(
                self.exchange.as_str().into(),
                names::routing_key(&self.namespace, &message.topic).into(),
                BasicPublishOptions { mandatory, ..BasicPublishOptions::default() },
                &message.body,
                properties,
            )
            .await
    }

    fn out_of_time(&self) -> BackendError {
        let reason = if self.link.is_blocked() {
            HELD_BACK
        } else {
            "check its load and the network, or allow more time with `publish_timeout`"
        };
        let message = format!("RabbitMQ did not confirm a publish within {:?}: {reason}", self.publish_timeout);
        BackendError::new(BackendErrorKind::Timeout, message)
    }
}

impl Publisher for AmqpPublisher {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.publish_all(messages))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.broken = true;
        Box::pin(self.link.close(self.close_timeout))
    }
}

/// A message on its way.
enum Sending<F> {
    /// It waits for the socket.
    Queued(Pin<Box<F>>),
    /// It waits for its confirm.
    Sent(PublisherConfirm),
}

/// A text that no other message has.
pub(crate) fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Whether the broker has taken a message, and routed it if that is required.
pub(crate) fn accepted(confirmation: &Confirmation, exchange: &str) -> Result<(), BackendError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(lost(
            "RabbitMQ returned this node's heartbeat, or the mark of its session: its queue or stream, or the binding of \
                 that, is gone",
        )),
        // Any queue that the message was routed to can have refused it; the broker does not say which.
        Confirmation::Nack(None) => Err(lost(format!(
            "RabbitMQ refused a message (nack): a queue bound to `{exchange}`, perhaps not one of cachesync's, rejects \
             messages, or was on a broker of the cluster that is lost; look for queues and policies with the overflow \
             `reject-publish`, and check the broker's log"
        ))),
        Confirmation::NotRequested => Err(lost("RabbitMQ does not confirm what is published on this channel")),
    }
}

/// Splits `messages` into runs that are published together: at most [`WINDOW_MESSAGES`], and no further message once
/// [`WINDOW_BYTES`] are reached.
fn windows(mut messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let len = messages
            .iter()
            .take(WINDOW_MESSAGES)
            .take_while(|message| {
                let fits = bytes < WINDOW_BYTES;
                bytes += message.body.len();
                fits
            })
            .count();
        let (window, rest) = messages.split_at(len);
        messages = rest;
        (!window.is_empty()).then_some(window)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(count: usize, bytes: usize) -> Vec<Message> {
        let topic = Topic::Cache(Name::new("users").unwrap());
        vec![Message { topic, body: vec![0; bytes] }; count]
    }

    fn lengths(messages: &[Message]) -> Vec<usize> {
        windows(messages).map(<[Message]>::len).collect()
    }

    #[test]
    fn windows_are_bounded_in_messages_and_in_bytes_and_always_progress() {
        assert!(lengths(&[]).is_empty());
        assert_eq!(lengths(&messages(600, 10)), [256, 256, 88]);
        assert_eq!(lengths(&messages(5, WINDOW_BYTES / 2)), [2, 2, 1]);
        assert_eq!(lengths(&messages(2, 3 * WINDOW_BYTES)), [1, 1]);
    }

    #[test]
    fn only_a_plain_ack_is_success() {
        assert!(accepted(&Confirmation::Ack(None), "cs").is_ok());
        for confirmation in [Confirmation::Nack(None), Confirmation::NotRequested] {
            assert_eq!(accepted(&confirmation, "cs").unwrap_err().kind(), BackendErrorKind::Lost);
        }
    }
}
