//! By what a place in a stream is known again.
//!
//! An offset alone proves nothing: a stream that was deleted and made anew has the same offsets and other messages, and a
//! message alone little, since two evictions may be alike, byte for byte, and what was not confirmed is sent twice. But
//! every session begins with a mark, and sends heartbeats after it, and each of these has a random id that no other
//! message has. So a place is
//!
//! - where the last mark, or heartbeat of this node, is that was read up to here,
//! - where the last message is that was read,
//! - and a digest of all messages from the one to the other, both included.
//!
//! Invariant: where a stream has, at these offsets, messages with this digest, everything up to the last one is what was
//! read. Its first message was written once and in one place; the digest says that it is there, and that what follows it
//! is what followed it. A stream that lost a part of this, as an unclean death of the broker's machine may bring about,
//! differs too; of what it has lost behind this, nothing can be told. The digest is a keyed one of 64 bits (`SipHash` of std,
//! with random keys of this process, which a [`Position`] never leaves), so that nobody can make a stream of other messages
//! that passes for this one but by guessing.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

use cachesync_core::backend::{Interest, Position, Topic};

use crate::names::{self, Note};

/// The keys of all digests.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// How many offsets in a row may hold no message: at the beginning of each segment RabbitMQ writes one entry of its own.
///
/// A reader that the broker has overtaken, in dropping segments, goes on at the first that is left, without a word (seen on
/// 3.10.8). It misses a whole segment at least, whose messages and own entry are more offsets than this.
const MAX_UNUSED: u64 = 1;

/// A message that does not follow the one before: what was between them has been dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap;

/// What is told apart in a message.
pub(super) struct Read<'a> {
    pub(super) offset: u64,
    pub(super) routing_key: &'a str,
    /// Of a mark or a heartbeat.
    pub(super) id: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What was read of a stream.
pub(super) struct Trail {
    /// The routing keys of marks, and of this node's heartbeats.
    anchors: [String; 2],
    /// The offset of the last message that was read.
    last: Option<u64>,
    /// The last mark, or heartbeat of this node, and what was read since.
    since: Option<Since>,
}

struct Since {
    start: u64,
    digest: DefaultHasher,
}

/// A place in a stream, and by what it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset of the mark or heartbeat.
    pub(super) start: u64,
    /// The offset of the last message that was read.
    pub(super) last: u64,
    digest: u64,
}

impl Trail {
    pub(super) fn new(interest: &Interest) -> Self {
        let heartbeat = names::routing_key(&interest.namespace, &Topic::Heartbeat(interest.node));
        let anchors = [names::note(&interest.namespace, Note::Mark), heartbeat];
        Self { anchors, last: None, since: None }
    }

    /// Goes on to the next message.
    pub(super) fn follow(&mut self, read: &Read<'_>) -> Result<(), Gap> {
        let follows = |last: u64| read.offset > last && read.offset - last - 1 <= MAX_UNUSED;
        if !self.last.is_none_or(follows) {
            return Err(Gap);
        }
        self.last = Some(read.offset);
        if read.id.is_some() && self.anchors.iter().any(|key| key == read.routing_key) {
            self.since = Some(Since { start: read.offset, digest: KEYS.build_hasher() });
        }
        if let Some(Since { digest, .. }) = &mut self.since {
            // Each part says how long it is.
            (read.offset, read.routing_key, read.id, read.body).hash(digest);
        }
        Ok(())
    }

    /// Where the last message is that was read; `None` before the first mark or heartbeat.
    pub(super) fn place(&self) -> Option<Place> {
        let Since { start, digest } = self.since.as_ref()?;
        Some(Place { start: *start, last: self.last?, digest: digest.finish() })
    }
}

impl Place {
    pub(super) fn to_position(self) -> Position {
        Position([self.start, self.last, self.digest].map(u64::to_be_bytes).concat())
    }

    /// The place in a position of this backend; `None` in any other.
    pub(super) fn of(position: &Position) -> Option<Self> {
        let numbers: Vec<_> = position.0.chunks(8).map(|bytes| bytes.try_into().map(u64::from_be_bytes)).collect();
        match numbers[..] {
            [Ok(start), Ok(last), Ok(digest)] if start <= last => Some(Self { start, last, digest }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::{Name, backend::Caches, frame::NodeId};

    use super::*;

    const MARK: &str = "shop.~stream.mark";
    const HEARTBEAT: &str = "shop.~heartbeat.00000000000000000000000000000007";
    const OTHER: &str = "shop.~heartbeat.00000000000000000000000000000008";

    fn mark(offset: u64, id: &'static str) -> Read<'static> {
        Read { offset, routing_key: MARK, id: Some(id), body: b"" }
    }

    fn eviction(offset: u64, body: &'static str) -> Read<'static> {
        Read { offset, routing_key: "shop.users", id: None, body: body.as_bytes() }
    }

    fn trail(messages: &[Read<'_>]) -> Trail {
        let namespace = Name::new("shop").unwrap();
        let mut trail =
            Trail::new(&Interest { namespace, node_name: String::new(), node: NodeId(7), caches: Caches::All });
        for message in messages {
            trail.follow(message).unwrap();
        }
        trail
    }

    fn place(messages: &[Read<'_>]) -> Option<Place> {
        trail(messages).place()
    }

    #[test]
    fn the_same_messages_are_the_same_place_wherever_reading_began() {
        let here = place(&[eviction(3, "a"), mark(4, "x"), eviction(5, "b")]);
        assert_eq!(here, place(&[mark(4, "x"), eviction(5, "b")]));
        assert_eq!(here.map(|place| (place.start, place.last)), Some((4, 5)));
    }

    #[test]
    fn a_place_differs_in_whatever_was_read_since_the_mark() {
        let here = [mark(4, "x"), eviction(5, "b"), eviction(6, "c")];
        for other in [
            [mark(4, "y"), eviction(5, "b"), eviction(6, "c")],
            [mark(4, "x"), eviction(5, "a"), eviction(6, "c")],
            [mark(4, "x"), eviction(5, "b"), eviction(6, "b")],
            [mark(4, "x"), eviction(5, "bc"), eviction(6, "")],
            [mark(4, "x"), Read { routing_key: "shop.orders", ..eviction(5, "b") }, eviction(6, "c")],
            [mark(4, "x"), Read { id: Some("b"), ..eviction(5, "b") }, eviction(6, "c")],
            [mark(3, "x"), eviction(5, "b"), eviction(6, "c")],
        ] {
            assert_ne!(place(&here), place(&other));
        }
    }

    #[test]
    fn it_begins_anew_with_each_mark_and_heartbeat_of_this_node_that_has_an_id() {
        let heartbeat = |offset, id| Read { routing_key: HEARTBEAT, ..mark(offset, id) };
        let start = |messages: &[Read<'_>]| place(messages).map(|place| place.start);
        assert_eq!(start(&[eviction(1, "a")]), None);
        assert_eq!(start(&[Read { routing_key: OTHER, ..mark(1, "x") }]), None);
        assert_eq!(start(&[Read { id: None, ..heartbeat(1, "x") }]), None, "it may be there twice");
        assert_eq!(start(&[mark(1, "x"), heartbeat(2, "y"), eviction(3, "a")]), Some(2));
        assert_eq!(start(&[heartbeat(1, "x"), mark(2, "y"), eviction(3, "a")]), Some(2));
    }

    #[test]
    fn an_entry_of_the_brokers_own_is_no_gap_and_more_is() {
        let mut trail = trail(&[mark(4, "x"), eviction(5, "a"), eviction(7, "b")]);
        assert_eq!(trail.follow(&eviction(10, "c")), Err(Gap));
        assert_eq!(trail.follow(&eviction(7, "b")), Err(Gap), "twice");
        assert_eq!(trail.follow(&eviction(1, "b")), Err(Gap), "back");
        assert_eq!(trail.follow(&eviction(8, "b")), Ok(()));
    }

    #[test]
    fn a_position_leads_back_to_its_place_and_no_other_does() {
        let here = place(&[mark(4, "x"), eviction(5, "b")]).unwrap();
        let position = here.to_position();
        assert_eq!(Place::of(&position), Some(here));
        let backwards = Place { start: 6, ..here };
        for bytes in [vec![], vec![0; 23], vec![0; 25], vec![0; 32], backwards.to_position().0] {
            assert_eq!(Place::of(&Position(bytes)), None);
        }
    }
}
