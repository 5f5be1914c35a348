//! Frames: what one node tells the others.

use std::{fmt, time::Duration};

pub use crate::encoded_key::EncodedKey;
use crate::{name::Name, shape::KeyShape};

/// The id of a node: 128 random bits, new at each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u128);

impl NodeId {
    /// A new id that no other node has.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One message between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The node that sent it.
    pub origin: NodeId,
    /// The origin's session in which it was encoded; counts up from 1.
    pub session: u64,
    /// Counts up from 1, without gaps, within an (origin, cache), and among the heartbeats of an origin; over all of the
    /// origin's sessions. What is sent again has the number that it had.
    pub sequence: u64,
    /// When it was encoded, in milliseconds since the Unix epoch, by the origin's wall clock; of a signed frame, when it was
    /// sent, the last time. No decision depends on it where there are no shared keys.
    pub sent_at: u64,
    /// For how long, from when it is applied, loads of the keys it names are not kept. Whole milliseconds.
    pub hold: Duration,
    /// The cache it concerns; `None` in a heartbeat.
    pub cache: Option<Name>,
    /// The structure of that cache's key type at the origin; empty where no keys are named.
    pub shape: KeyShape,
    /// What to do.
    pub operation: Operation,
    /// Proof that a holder of a shared key made it, see [`mac`](crate::mac); `None` where there is none.
    pub authentication: Option<Authentication>,
}

/// What a [`Frame`] asks its receivers to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Evict these keys; each is encoded by [`codec::encode_key`](crate::codec::encode_key). Without any it evicts
    /// nothing, and lets its sequence be checked.
    Keys(Vec<EncodedKey>),
    /// Evict every key of the cache.
    All,
    /// Evict every entry that carries one of these tags. A reader that keeps no tags clears the cache.
    Tags(Vec<String>),
    /// Nothing: a node's message to itself, which tells it how fresh its view is.
    Heartbeat {
        /// The origin's own clock, in nanoseconds, read before publishing.
        at: u64,
    },
    /// An operation that this version does not know. The cache that the frame names is to be cleared.
    Unknown(u8),
}

/// A message authentication code over namespace, topic and frame, see [`mac`](crate::mac).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Which of the shared keys made it.
    pub key_id: u32,
    /// The code itself.
    pub mac: Vec<u8>,
}
