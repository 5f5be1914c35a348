//! What was heard of others before, so that nobody can play it back.
//!
//! Unlike what [`sequence`](super::sequence) knows, it outlives sessions. Of each origin and cache it is known which of the last 64
//! numbers were heard, as in ESP (RFC 4303, section 3.4.3) and DTLS. What was heard is refused, and what is older than these;
//! nothing is lost by that:
//!
//! - a frame that was heard was applied. Its hold, applied again, would end later and need not: it counts from the first time,
//!   which was after the writer's own;
//! - one that is more than 63 numbers behind and was not heard was published before this node's session began, since an origin has
//!   no more than a portion of 16 messages out that are not confirmed, and what is confirmed is in this node's queue ahead
//!   of all that is published later, by whomever. So the clear at the beginning of the session came after it was sent, and
//!   after the commit that it tells of. It may come again, as it was never confirmed to its origin: in vain.
//!
//! A number within these 64 that was not heard is let in, if its date is right. Somebody else's copy of a later frame may overtake
//! it, between the nodes of a cluster of brokers.

use cachesync_core::{Name, frame::NodeId, mac::MAC_BYTES};

use super::generations::Generations;
use crate::mutation::Mutation;

/// So many evictions in JSON are known that were heard last, and at most as many more.
const MAX_RECENT_JSON: usize = 50_000;

#[derive(Default)]
pub(super) struct Replays {
    frames: Generations<(NodeId, Name), Heard>,
    json: Generations<[u8; MAC_BYTES], (), MAX_RECENT_JSON>,
}

impl Replays {
    /// What is known of this frame.
    pub(super) fn of_frame(&self, origin: NodeId, cache: &Name, sequence: u64) -> Novelty {
        self.frames.get(&(origin, cache.clone())).map_or(Novelty::Higher, |heard| heard.of(sequence))
    }

    /// Notes a frame.
    pub(super) fn note_frame(&mut self, origin: NodeId, cache: &Name, sequence: u64) {
        self.frames.entry((origin, cache.clone()), Heard::default()).note(sequence);
    }

    /// Notes the proof of an eviction in JSON; `false` if it was heard before.
    pub(super) fn note_json(&mut self, mac: [u8; MAC_BYTES]) -> bool {
        let is_new = self.json.get(&mac).is_none();
        if is_new {
            self.json.entry(mac, ());
        }
        is_new
    }
}

/// How new a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Novelty {
    /// Nothing of its number or above was heard of its origin and cache.
    Higher,
    /// Something above was heard, and this was not.
    Passed,
    /// It was heard, or is so old that it is not known.
    None,
}

/// Which numbers were heard.
#[derive(Default)]
struct Heard {
    highest: u64,
    /// Bit `n` stands for the number `n` below the highest.
    below: u64,
}

impl Heard {
    fn of(&self, sequence: u64) -> Novelty {
        let one_more = u64::from(Mutation::RefuseTheNext.is_on());
        if sequence > self.highest.saturating_add(one_more) {
            return Novelty::Higher;
        }
        match self.highest.checked_sub(sequence) {
            Some(behind @ 0..64) if self.below & (1 << behind) == 0 => Novelty::Passed,
            _ => Novelty::None,
        }
    }

    fn note(&mut self, sequence: u64) {
        if let Some(behind) = self.highest.checked_sub(sequence) {
            self.below |= 1u64.checked_shl(u32::try_from(behind).unwrap_or(u32::MAX)).unwrap_or(0);
        } else {
            let ahead = u32::try_from(sequence - self.highest).unwrap_or(u32::MAX);
            self.below = self.below.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = sequence;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::new("users").unwrap()
    }

    #[test]
    fn each_number_is_heard_once_in_whatever_order() {
        let mut replays = Replays::default();
        let mut note = |origin, sequence| {
            let novelty = replays.of_frame(NodeId(origin), &name(), sequence);
            if novelty != Novelty::None {
                replays.note_frame(NodeId(origin), &name(), sequence);
                assert_eq!(replays.of_frame(NodeId(origin), &name(), sequence), Novelty::None, "{sequence}");
            }
            novelty
        };
        assert_eq!([note(1, 100), note(1, 102), note(2, 1)], [Novelty::Higher; 3]);
        assert_eq!([note(1, 100), note(1, 102), note(2, 1)], [Novelty::None; 3]);
        assert_eq!([note(1, 101), note(1, 99), note(1, 39)], [Novelty::Passed; 3]);
        assert_eq!([note(1, 101), note(1, 99), note(1, 39), note(1, 38), note(1, 0)], [Novelty::None; 5]);
        assert_eq!([note(1, 165), note(1, 103), note(1, 102)], [Novelty::Higher, Novelty::Passed, Novelty::None]);
        assert_eq!(
            [note(1, u64::MAX), note(1, u64::MAX), note(1, 166)],
            [Novelty::Higher, Novelty::None, Novelty::None]
        );
        for sequence in 2..1_000 {
            assert_eq!(
                [note(2, sequence), note(2, sequence), note(2, sequence - 1)],
                [Novelty::Higher, Novelty::None, Novelty::None]
            );
        }
    }

    #[test]
    fn an_eviction_in_json_is_new_once() {
        let mut replays = Replays::default();
        for number in 0..=u8::MAX {
            assert!(replays.note_json([number; MAC_BYTES]) && !replays.note_json([number; MAC_BYTES]));
        }
    }
}
