//! Sequences: the check that no frame was lost (rule R5).
//!
//! The transport promises order and no loss; this notices should it break the promise. The frames of one origin and
//! cache count up from 1, and so do the heartbeats of an origin; neither begins anew with the origin's next session, so
//! what was lost at the end of one is noticed in the next. The first frame that is heard may have any number, as its
//! origin may have been sending for long; after that each must follow the one before.
//!
//! What was heard before comes again where it was not confirmed, byte for byte, and may straggle in from a session that was
//! lost when its successor has sent all of it. None of that makes a gap: what is sent again has the number that it had,
//! and everything before it was confirmed, or is sent again before it.

use cachesync_core::{
    Name,
    frame::{Frame, NodeId},
};

use super::generations::Generations;

#[derive(Default)]
pub(super) struct Sequences {
    /// The highest sequence heard of each origin and cache; without a cache of its heartbeats.
    heard: Generations<(NodeId, Option<Name>), u64>,
}

impl Sequences {
    /// Notes a frame; `false` if one before it is missing.
    pub(super) fn note(&mut self, frame: &Frame) -> bool {
        let before = frame.sequence.saturating_sub(1);
        let last = self.heard.entry((frame.origin, frame.cache.clone()), before);
        let follows = before <= *last;
        *last = frame.sequence.max(*last);
        follows
    }

    /// The highest number of this origin and cache that was noted since the last session began that did not resume.
    pub(super) fn highest(&self, origin: NodeId, cache: &Name) -> Option<u64> {
        self.heard.get(&(origin, Some(cache.clone()))).copied()
    }

    /// For a session that does not resume: what others have sent before it is not known, nor need it be. Of this node's
    /// own heartbeats the next one is `heartbeats` plus 1; those that are still under way were sent before.
    pub(super) fn forget(&mut self, own: NodeId, heartbeats: u64) {
        *self = Self::default();
        self.heard.entry((own, None), heartbeats);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cachesync_core::{frame::Operation, shape::KeyShape};

    use super::*;

    fn frame(origin: u128, session: u64, sequence: u64) -> Frame {
        Frame {
            origin: NodeId(origin),
            session,
            sequence,
            sent_at: 0,
            hold: Duration::ZERO,
            cache: Some(Name::new("users").unwrap()),
            shape: KeyShape::NONE,
            operation: Operation::All,
            authentication: None,
        }
    }

    fn follows(sequences: &mut Sequences, origin: u128, session: u64, sequence: u64) -> bool {
        sequences.note(&frame(origin, session, sequence))
    }

    #[test]
    fn a_gap_is_noticed_and_what_comes_again_is_none() {
        let mut sequences = Sequences::default();
        assert!(follows(&mut sequences, 1, 1, 7), "the first frame heard may have any number");
        assert!(follows(&mut sequences, 1, 1, 8));
        assert!(follows(&mut sequences, 1, 1, 8), "resent");
        assert!(follows(&mut sequences, 1, 1, 7), "resent");
        assert!(!follows(&mut sequences, 1, 1, 10), "9 is missing");
        assert!(follows(&mut sequences, 1, 1, 11));
        assert!(follows(&mut sequences, 2, 1, 5), "another origin");
        for (whatever, is_no_gap) in [(u64::MAX - 1, false), (u64::MAX, true), (0, true)] {
            assert_eq!(follows(&mut sequences, 1, 1, whatever), is_no_gap, "{whatever}");
        }
    }

    #[test]
    fn the_next_session_of_an_origin_goes_on_where_the_last_one_ended() {
        let mut sequences = Sequences::default();
        assert!(follows(&mut sequences, 1, 1, 1));
        assert!(follows(&mut sequences, 1, 2, 2));
        assert!(follows(&mut sequences, 1, 1, 2), "a straggler of the session before");
        assert!(!follows(&mut sequences, 1, 3, 4), "the last frame of the session before is missing");
        // Sent again with the session that they had, then the first one of the next.
        assert!([(3, 4), (3, 5), (4, 6)].iter().all(|(session, next)| follows(&mut sequences, 1, *session, *next)));
    }

    #[test]
    fn of_its_own_heartbeats_a_node_knows_the_first_one_too() {
        let mut sequences = Sequences::default();
        let heard = |sequences: &mut Sequences, sequence| {
            let operation = Operation::Heartbeat { at: 0 };
            sequences.note(&Frame { cache: None, operation, ..frame(9, 1, sequence) })
        };
        sequences.forget(NodeId(9), 5);
        assert!(heard(&mut sequences, 4), "a straggler");
        assert!(!heard(&mut sequences, 7), "6 is missing");
        assert!(heard(&mut sequences, 8));
    }

    #[test]
    fn origins_that_come_and_go_do_not_pile_up_and_those_that_stay_are_not_forgotten() {
        let mut sequences = Sequences::default();
        for origin in 1..60_000u128 {
            assert!(follows(&mut sequences, origin, 1, 1));
            if origin.is_multiple_of(1_000) {
                let heard = u64::try_from(origin / 1_000).unwrap();
                assert!(follows(&mut sequences, 0, 1, heard));
            }
        }
        assert!(sequences.heard.len() <= 20_000);
        assert!(!follows(&mut sequences, 0, 1, 1_000), "it has been heard all the time");
        assert!(follows(&mut sequences, 1, 1, 9), "it has not, and may have any number again");
    }
}
