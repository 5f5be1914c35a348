//! What a transport must offer: one session at a time, nothing more.
//!
//! Architecture invariant: a backend never reconnects, never retries, never stores a value, and knows nothing of
//! caches but their names. Whatever goes wrong ends the session with a [`BackendError`]; the engine opens the next.

use std::{error::Error as StdError, fmt, pin::Pin, time::Duration};

use crate::{frame::NodeId, name::Name};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A transport that carries frames between nodes.
pub trait Backend: Send + Sync + 'static {
    /// Opens one session: subscribed and able to publish when it returns.
    ///
    /// Whatever is published, by any node, after this future has resolved is delivered to the session's subscriber,
    /// or the session ends.
    ///
    /// # Resuming
    ///
    /// `resume` is the [`Position`] of the last delivery that this node has applied, in an earlier session of the same
    /// backend and with the same `interest`; `None` where there is none, or where the engine would rather clear. A
    /// backend that cannot replay ignores it. One that can looks for the message at that place, and checks that it **is
    /// the one remembered**: a stream that was deleted and made anew has the same offsets and other messages. Only then
    /// does it set [`Session::resumed`], which says: the subscriber delivers every message of this interest that came
    /// right after the remembered one, up to now, and then, without a gap, what is published from now on, all in the
    /// one order of the transport. The remembered message and those before it may come again: applying them twice is harmless.
    ///
    /// If the place is gone, holds another message, or cannot be compared, the session is opened as without `resume`:
    /// that is no error, and the engine clears.
    ///
    /// # Errors
    ///
    /// When no session can be had now. The future must resolve in bounded time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and releases what it holds.
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>>;

    /// How long [`Publisher::publish`] may take before it gives up, for what the engine gives it at once, which is at most
    /// 16 messages or about half a MiB of them; `None` if it does not wait.
    ///
    /// A registry whose lease is so short that a transport which is that slow, and no slower, would cost it, does not start.
    fn confirm_timeout(&self) -> Option<Duration> {
        None
    }
}

/// One live connection of a node to its backend, from subscribe to loss.
///
/// Dropping it ends it, together with whatever the transport queued for it.
pub struct Session {
    /// Where this node's messages go out.
    pub publisher: Box<dyn Publisher>,
    /// Where everybody's messages come in.
    pub subscriber: Box<dyn Subscriber>,
    /// Whether the subscriber begins right after the position asked for, so that nothing was missed; see
    /// [`Backend::connect`]. The engine keeps its caches then, and does not serve them for a moment longer than before:
    /// its lease is renewed only by a heartbeat that it sends in this session and that comes back after all that was missed.
    pub resumed: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("resumed", &self.resumed).finish_non_exhaustive()
    }
}

/// The sending half of a session.
pub trait Publisher: Send {
    /// Sends `messages` in order; resolves when the transport has taken all of them.
    ///
    /// "Taken" means: every session that is subscribed to a message's topic will receive it, or end.
    ///
    /// # Errors
    ///
    /// When that can no longer be said of some message. The session has ended then, and the engine sends all of
    /// `messages` again in the next one. Must resolve in bounded time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open which messages were sent; the engine ends the session then.
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Says goodbye, where the transport has a way to; in bounded time. Called last, or not at all.
    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The receiving half of a session.
pub trait Subscriber: Send {
    /// The next delivery, in the order of the transport.
    ///
    /// Calling it again states that every earlier delivery has been applied, so they can be acknowledged.
    ///
    /// # Errors
    ///
    /// When the session has ended. Waits without bound as long as it lives.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe: a delivery that a dropped future would have returned is returned by the next call.
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>>;
}

/// What a node wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// The namespace; nodes of different namespaces never hear each other.
    pub namespace: Name,
    /// The node's name, for people who look at the broker. Not unique.
    pub node_name: String,
    /// The node's id; its heartbeats, and no other node's, are delivered to it.
    pub node: NodeId,
    /// Which caches' evictions are delivered.
    pub caches: Caches,
}

/// The caches of an [`Interest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caches {
    /// Just these.
    Named(Vec<Name>),
    /// Every cache of the namespace.
    All,
}

/// One message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whom it concerns.
    pub topic: Topic,
    /// An encoded [`Frame`](crate::frame::Frame).
    pub body: Vec<u8>,
}

/// Whom a message concerns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Every node that has this cache.
    Cache(Name),
    /// The node of this id: its own heartbeat.
    Heartbeat(NodeId),
}

/// One message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What came; to be distrusted.
    pub body: Vec<u8>,
    /// How to read it.
    pub format: Format,
    /// The cache that the transport's addressing names. It is used only to limit the damage of a body that cannot
    /// be read; `None` when the addressing does not tell.
    pub cache: Option<Name>,
    /// Where a later session can resume after this delivery; `None` where the transport cannot replay. The engine
    /// remembers it when the delivery has been applied, and not before.
    pub position: Option<Position>,
}

/// How the body of a [`Delivery`] is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A [`Frame`](crate::frame::Frame), see [`codec::decode`](crate::codec::decode).
    Frame,
    /// An eviction from a program in any language, see [`codec::decode_json`](crate::codec::decode_json).
    Json,
}

/// One message in a transport's order of messages; its meaning is the backend's own.
///
/// It has to say more than where the message is: also by what to know it again, such as a random id of the stream, or a
/// digest of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub Vec<u8>);

/// Why there is no session, or no longer one.
///
/// The text never holds a password.
#[derive(Debug)]
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of [`BackendError`] it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// The configuration cannot work: a malformed URL, an option out of range.
    Configuration,
    /// Nobody answered.
    Unreachable,
    /// The broker answered and said no: wrong password, missing virtual host, no permission.
    Refused,
    /// There was no answer within the time allowed.
    Timeout,
    /// The session had been open and has ended.
    Lost,
}

impl BackendError {
    /// An error of this kind; `message` is lower case, without a full stop, and says what to do.
    pub fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds what caused it. The source's text must not hold a secret either.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for BackendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
