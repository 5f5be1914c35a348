//! [`Stream`]: the log on the broker that all nodes of a namespace hear, and how much of it is kept.

mod attach;
mod subscriber;
mod trail;

use std::time::Duration;

pub(crate) use attach::subscribe;
use cachesync_core::{BackendError, Name};
use lapin::types::{AMQPValue, FieldTable};

use crate::{backend::configuration, names};

/// The longest name of a queue or stream, in bytes: a short string of AMQP 0-9-1.
const MAX_NAME_BYTES: usize = 255;
/// Less is written within a lease by a busy service, and a node that is slow for a moment would lose its place.
const MIN_AGE: Duration = Duration::from_mins(1);
const MAX_AGE: Duration = Duration::from_hours(24 * 365);
/// Smaller ones would be a file for every few messages.
const MIN_SEGMENT_BYTES: u64 = 64 * 1024;
/// RabbitMQ's own limit.
const MAX_SEGMENT_BYTES: u64 = 3_000_000_000;

/// One durable [stream](https://www.rabbitmq.com/docs/streams) on RabbitMQ (3.9 or later) for a namespace, in place of a
/// queue for each session; for [`AmqpBackend::stream`](crate::AmqpBackend::stream).
///
/// Every node reads the stream for itself and picks out what is for it. The broker keeps what was read, so a node
/// whose connection broke, or whose broker was restarted on its data, reads on where it was, and its caches stay warm. It
/// clears them, as every session on a queue does, if its place is no longer kept, or if the stream is not the one that it
/// knew: deleted and made anew, or without its end.
///
/// RabbitMQ leaves it to the operating system when a stream is on the disk. A machine that loses its power, or a volume that is
/// restored, may lose the messages that were confirmed last, unless other brokers have a replica. A node that has read them
/// clears; one that was away clears what they concerned as soon as their writers have a new session. If a writer has ended
/// meanwhile, nobody knows that there were any, and what they evicted may be kept until a `ttl` ends it.
///
/// # When to choose it
///
/// | | a queue for each session (the default) | a stream |
/// |---|---|---|
/// | after a lost session | clears: every entry is loaded again | resumes: what was evicted meanwhile is evicted |
/// | broker | copies a message into each interested queue, in memory | writes every message to disk, once |
/// | node | hears its caches | reads the whole namespace, each node's heartbeat every second too, and drops what is not for it |
/// | latency of an eviction | lower | some milliseconds more |
/// | on a cluster of brokers | a queue is on one of them | is replicated: a confirmed message is on a majority |
///
/// Choose a stream where loading everything again would hurt the source of the values, or where the brokers are a
/// cluster. A queue is the cheaper choice where caches are quick to load, and for hundreds of nodes: on a stream each
/// of them reads the heartbeats of all.
///
/// # How much to keep
///
/// [`max_age`](Self::max_age) is the longest absence after which a node resumes. More than what it can read in a lease is of
/// no use, since a node that is behind for longer clears anyway. Every message counts: a hundred nodes that send a
/// heartbeat of 250 bytes each second are 90 MB in an hour.
///
/// A stream that exists is used as it is if it was declared with the same options, or the broker refuses the session. A
/// policy can shorten what is kept (`max-age`, `max-length-bytes`), and nothing on the broker may remove messages in any
/// other way. A namespace that is no longer used leaves its stream behind; delete it with `rabbitmqctl delete_queue`.
///
/// A node that finds the stream without its binding to the exchange, as after the exchange was deleted and made again,
/// deletes it, and makes it anew: messages may be missing from it, and so all nodes clear.
///
/// ```
/// use std::time::Duration;
/// use cachesync_amqp::{AmqpBackend, Stream};
///
/// let backend = AmqpBackend::new("amqp://shop:secret@rabbit.internal/%2fshop")?
///     .stream(Stream::new().max_age(Duration::from_mins(20)));
/// # Ok::<(), cachesync_core::BackendError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    max_age: Duration,
    max_bytes: u64,
    segment_bytes: u64,
    replicas: Option<u16>,
    name: String,
}

impl Stream {
    /// A stream that keeps an hour, and at most 1 GiB: enough for a restart of the broker, a change of its machine, or a
    /// broken network, and little enough for any disk.
    pub fn new() -> Self {
        Self {
            max_age: Duration::from_hours(1),
            max_bytes: 1024 * 1024 * 1024,
            segment_bytes: 32 * 1024 * 1024,
            replicas: None,
            name: "stream".to_owned(),
        }
    }

    /// For how long messages are kept; 1 h unless set. Whole seconds, from 1 min to 365 days.
    ///
    /// The broker drops whole segments, when it begins a new one: where little is written, more is kept.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many bytes are kept, on each broker of a cluster; 1 GiB unless set. At least twice
    /// [`segment_bytes`](Self::segment_bytes).
    ///
    /// It must hold more than is ever written in a lease. Should a node be so slow that the broker drops what it has yet to
    /// read, its session ends, and it clears.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The size of the files in which the broker writes the stream; 32 MiB unless set. From 64 KiB to 3 GB.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// On how many brokers of a cluster the stream is made, one of which leads; as many as the broker chooses unless set.
    /// At least 1. It counts when the stream is declared first.
    #[must_use]
    pub fn replicas(mut self, count: u16) -> Self {
        self.replicas = Some(count);
        self
    }

    /// The last part of the stream's name on the broker, `cachesync.<namespace>.<exchange>.<name>`; `stream` unless set.
    /// Letters, digits, `_` and `-`, at most 100.
    ///
    /// With another name nodes can change to other options one after the other: those on the old stream and those on the new
    /// one hear each other, as all streams hear the exchange. The old one is then to be deleted.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether all options are possible.
    pub(crate) fn validate(&self) -> Result<(), BackendError> {
        if self.max_age.subsec_nanos() != 0 || !(MIN_AGE..=MAX_AGE).contains(&self.max_age) {
            return Err(configuration(&format!(
                "`max_age` of the stream is {:?}; use whole seconds from 1 min to 365 days",
                self.max_age
            )));
        }
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.segment_bytes) {
            return Err(configuration(&format!(
                "`segment_bytes` of the stream is {}; use {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES}",
                self.segment_bytes
            )));
        }
        if self.max_bytes < 2 * self.segment_bytes || i64::try_from(self.max_bytes).is_err() {
            return Err(configuration(&format!(
                "`max_bytes` of the stream is {}; use at least twice its `segment_bytes`, which is {}",
                self.max_bytes, self.segment_bytes
            )));
        }
        if self.replicas == Some(0) {
            return Err(configuration("`replicas` of the stream is 0; use at least 1"));
        }
        match Name::new(&self.name) {
            Ok(_) => Ok(()),
            Err(error) => Err(configuration(&format!("`name` of the stream is {:?}: {error}", self.name))),
        }
    }

    /// What it is called on the broker for this exchange and namespace.
    fn name_for(&self, exchange: &str, namespace: &Name) -> Result<String, BackendError> {
        let name = names::stream(namespace, exchange, &self.name);
        // The longest of the names that are made of it.
        if names::turn(&name).len() > MAX_NAME_BYTES {
            return Err(configuration(&format!(
                "the name of the stream `{}` would be too long; use a shorter `exchange`",
                name.escape_debug()
            )));
        }
        Ok(name)
    }

    /// The arguments with which it is declared.
    fn arguments(&self) -> FieldTable {
        let bytes = |count: u64| AMQPValue::LongLongInt(i64::try_from(count).unwrap_or(i64::MAX));
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
        arguments.insert("x-max-age".into(), AMQPValue::LongString(format!("{}s", self.max_age.as_secs()).into()));
        arguments.insert("x-max-length-bytes".into(), bytes(self.max_bytes));
        arguments.insert("x-stream-max-segment-size-bytes".into(), bytes(self.segment_bytes));
        if let Some(count) = self.replicas {
            arguments.insert("x-initial-cluster-size".into(), bytes(count.into()));
        }
        arguments
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::BackendErrorKind;

    use super::*;

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        assert!(Stream::new().validate().is_ok());
        assert!(Stream::new().max_age(MIN_AGE).segment_bytes(65_536).max_bytes(131_072).replicas(3).validate().is_ok());
        for (stream, option) in [
            (Stream::new().max_age(Duration::from_secs(59)), "`max_age`"),
            (Stream::new().max_age(Duration::from_millis(90_500)), "`max_age`"),
            (Stream::new().max_age(Duration::MAX), "`max_age`"),
            (Stream::new().segment_bytes(65_535), "`segment_bytes`"),
            (Stream::new().segment_bytes(u64::MAX), "`segment_bytes`"),
            (Stream::new().max_bytes(64 * 1024 * 1024 - 1), "`max_bytes`"),
            (Stream::new().max_bytes(u64::MAX), "`max_bytes`"),
            (Stream::new().replicas(0), "`replicas`"),
            (Stream::new().name(""), "`name`"),
            (Stream::new().name("a.b"), "`name`"),
            (Stream::new().name("a\nb"), r#"is "a\nb""#),
        ] {
            let error = stream.validate().expect_err(option);
            assert_eq!(error.kind(), BackendErrorKind::Configuration);
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn a_name_that_the_exchange_makes_too_long_is_refused() {
        let namespace = Name::new("shop").unwrap();
        let error = Stream::new().name_for(&"x".repeat(250), &namespace).unwrap_err();
        assert!(error.to_string().contains("a shorter `exchange`"), "{error}");
        assert_eq!(Stream::new().name("v2").name_for("x", &namespace).unwrap(), "cachesync.shop.x.v2");
    }
}
