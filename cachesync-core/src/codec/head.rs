//! The head of a frame: what tells who made it, where it goes, and where its proof is.

use std::{borrow::Cow, ops::Range};

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use super::{MAGIC, MAX_FRAME_BYTES, from_bytes, to_bytes};
use crate::{backend::Topic, frame::NodeId, name::Name};

/// Magic, version, oldest reader.
const PREFIX: usize = 3;

/// What every version of a frame begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The node that sent it.
    pub origin: NodeId,
    /// The origin's session in which it was encoded.
    pub session: u64,
    /// Its number, see [`Frame::sequence`](crate::frame::Frame::sequence).
    pub sequence: u64,
    /// When it was sent, see [`Frame::sent_at`](crate::frame::Frame::sent_at).
    pub sent_at: u64,
    /// The cache it concerns; `None` in a heartbeat.
    pub cache: Option<Name>,
    /// The number of the shared key that signed it; 0 where none did.
    pub key_id: u32,
    /// Where in the frame its MAC is; empty where there is none.
    pub mac: Range<usize>,
}

impl Head {
    /// Where it is to be sent.
    pub fn topic(&self) -> Topic {
        self.cache.clone().map_or(Topic::Heartbeat(self.origin), Topic::Cache)
    }
}

/// The fields of version 1 up to the MAC. Later versions never change these.
#[derive(Serialize, Deserialize)]
pub(super) struct Fields<'a> {
    pub(super) origin: u128,
    pub(super) session: u64,
    pub(super) sequence: u64,
    pub(super) sent_at: u64,
    pub(super) hold_ms: u64,
    pub(super) cache: Cow<'a, str>,
    pub(super) shape: Cow<'a, str>,
    pub(super) key_id: u32,
}

/// Reads the head of a frame, also of one that only later versions can read; `None` if there is none.
///
/// It allocates nothing but the cache's name.
pub fn decode_head(bytes: &[u8]) -> Option<Head> {
    let (fields, mac) = parse(bytes)?;
    let cache = match fields.cache.as_ref() {
        "" => None,
        name => Some(Name::new(name).ok()?),
    };
    Some(Head {
        origin: NodeId(fields.origin),
        session: fields.session,
        sequence: fields.sequence,
        sent_at: fields.sent_at,
        cache,
        key_id: fields.key_id,
        mac,
    })
}

fn parse(bytes: &[u8]) -> Option<(Fields<'_>, Range<usize>)> {
    if bytes.len() > MAX_FRAME_BYTES || bytes.first() != Some(&MAGIC) {
        return None;
    }
    let (fields, length): (Fields<'_>, usize) = from_bytes(bytes.get(PREFIX..)?)?;
    let (mac, with_length): (&Bytes, usize) = from_bytes(bytes.get(PREFIX + length..)?)?;
    let end = PREFIX + length + with_length;
    Some((fields, end - mac.len()..end))
}

/// The bytes of a frame with another date, this key's number, and so many zeroes in place of its MAC; and where these are.
pub(crate) fn with_room_for_mac(
    bytes: &[u8],
    sent_at: u64,
    key_id: u32,
    length: usize,
) -> Option<(Vec<u8>, Range<usize>)> {
    let (fields, old) = parse(bytes)?;
    let mut made = bytes[..PREFIX].to_vec();
    made.extend(to_bytes(&Fields { sent_at, key_id, ..fields }));
    made.extend(to_bytes(&Bytes::new(&vec![0; length])));
    let room = made.len() - length..made.len();
    made.extend_from_slice(&bytes[old.end..]);
    Some((made, room))
}
