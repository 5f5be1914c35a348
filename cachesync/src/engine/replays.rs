//! What was heard of others before, so that nobody can play it back.
//!
//! Unlike what [`sequence`](super::sequence) knows, it outlives sessions. A frame whose number is not above the highest heard of
//! its origin and cache is refused, and nothing is lost by that. Within the transport's promise a frame of number `n` is either
//! delivered before any of a higher number, or this node's session began after it was published: an origin sends what was not
//! confirmed again, with its number, before anything newer. Delivered, it was applied; else the clear of that session came after
//! it was sent, and so after the commit that it tells of. Beyond that promise the higher number made a gap, and the clear for
//! that came after `n` was sent, too. A hold of the same eviction, applied twice, would end later and need not: it counts from
//! the first time, which is after the writer's own.

use std::{collections::HashSet, hash::Hash, mem};

use cachesync_core::{Name, frame::NodeId, mac::MAC_BYTES};

use super::sequence::Generations;

/// So many evictions in JSON are known that were heard last, and at most as many more.
const MAX_RECENT_JSON: usize = 50_000;

#[derive(Default)]
pub(super) struct Replays {
    frames: Generations<(NodeId, Name)>,
    json: Seen<[u8; MAC_BYTES]>,
}

impl Replays {
    /// Notes a frame; `false` if it, or a later one, was heard before.
    pub(super) fn note_frame(&mut self, origin: NodeId, cache: &Name, sequence: u64) -> bool {
        let highest = self.frames.entry((origin, cache.clone()), 0);
        let is_new = sequence > *highest;
        *highest = sequence.max(*highest);
        is_new
    }

    /// Whether it, or a later one, was heard before.
    pub(super) fn has_frame(&self, origin: NodeId, cache: &Name, sequence: u64) -> bool {
        self.frames.get(&(origin, cache.clone())).is_some_and(|highest| sequence <= highest)
    }

    /// Notes the proof of an eviction in JSON; `false` if it was heard before.
    pub(super) fn note_json(&mut self, mac: [u8; MAC_BYTES]) -> bool {
        self.json.note(mac, MAX_RECENT_JSON)
    }
}

/// A set that forgets what it was told long ago.
struct Seen<T> {
    recent: HashSet<T>,
    /// What was told before `recent` was begun.
    before: HashSet<T>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { recent: HashSet::new(), before: HashSet::new() }
    }
}

impl<T: Eq + Hash> Seen<T> {
    fn note(&mut self, one: T, at_most: usize) -> bool {
        if self.recent.len() >= at_most {
            self.before = mem::take(&mut self.recent);
        }
        !self.before.contains(&one) && self.recent.insert(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::new("users").unwrap()
    }

    #[test]
    fn what_was_heard_and_what_is_older_than_that_is_heard_once() {
        let mut replays = Replays::default();
        let mut note = |origin, sequence| {
            let had = replays.has_frame(NodeId(origin), &name(), sequence);
            let is_new = replays.note_frame(NodeId(origin), &name(), sequence);
            assert_eq!(had, !is_new);
            is_new
        };
        assert!(note(1, 7) && note(1, 9) && note(2, 1));
        assert!(!note(1, 7) && !note(1, 8) && !note(1, 9) && !note(2, 1));
        assert!(note(1, 10) && !note(1, 0) && !note(3, 0));
    }

    #[test]
    fn memory_is_bounded_and_what_is_recent_is_in_it() {
        let mut seen = Seen::default();
        for number in 0..1_000 {
            assert!(seen.note(number, 10));
            assert!(!seen.note(number, 10) && (number < 9 || !seen.note(number - 9, 10)), "{number}");
            assert!(seen.recent.len() + seen.before.len() <= 20);
        }
        let mut replays = Replays::default();
        for number in 0..=u8::MAX {
            assert!(replays.note_json([number; MAC_BYTES]) && !replays.note_json([number; MAC_BYTES]));
        }
    }
}
