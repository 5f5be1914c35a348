//! Sequences: the check that no frame was lost within a session (rule R5).
//!
//! The transport promises order and no loss; this notices should it break the promise. Frames of one
//! (origin, session, cache) count up from 1. The first frame of an origin that is heard may have any number, as it
//! may have been sending for long; after that each must follow the one before, or begin the origin's next session.
//! Frames sent twice, as a resend after an unconfirmed publish makes them, are no gap.

use std::collections::HashMap;

use cachesync_core::{
    Name,
    frame::{Frame, NodeId},
};

/// Beyond this everything is forgotten, which costs the check and nothing else: origins come and go.
const MAX_TRACKED: usize = 10_000;

#[derive(Default)]
pub(super) struct Sequences {
    /// The session and sequence last heard.
    last: HashMap<(NodeId, Name), (u64, u64)>,
}

impl Sequences {
    /// Notes a frame of another node; `false` if one before it is missing.
    pub(super) fn note(&mut self, frame: &Frame, cache: &Name) -> bool {
        if self.last.len() >= MAX_TRACKED {
            self.last.clear();
        }
        let heard = (frame.session, frame.sequence);
        let key = (frame.origin, cache.clone());
        let Some(last) = self.last.get_mut(&key) else {
            self.last.insert(key, heard);
            return true;
        };
        if heard <= *last {
            return true;
        }
        let follows = if heard.0 == last.0 { last.1 + 1 } else { 1 };
        *last = heard;
        heard.1 == follows
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cachesync_core::{frame::Operation, shape::KeyShape};

    use super::*;

    fn follows(sequences: &mut Sequences, origin: u128, session: u64, sequence: u64) -> bool {
        let cache = Name::new("users").unwrap();
        let frame = Frame {
            origin: NodeId(origin),
            session,
            sequence,
            sent_at: 0,
            hold: Duration::ZERO,
            cache: Some(cache.clone()),
            shape: KeyShape::NONE,
            operation: Operation::All,
            authentication: None,
        };
        sequences.note(&frame, &cache)
    }

    #[test]
    fn a_gap_is_noticed_and_a_resend_or_a_new_session_is_none() {
        let mut sequences = Sequences::default();
        assert!(follows(&mut sequences, 1, 1, 7), "the first frame heard may have any number");
        assert!(follows(&mut sequences, 1, 1, 8));
        assert!(follows(&mut sequences, 1, 1, 8), "resent");
        assert!(follows(&mut sequences, 1, 1, 7), "resent");
        assert!(!follows(&mut sequences, 1, 1, 10), "9 is missing");
        assert!(follows(&mut sequences, 1, 1, 11));
        assert!(follows(&mut sequences, 1, 2, 1), "the next session");
        assert!(!follows(&mut sequences, 1, 3, 2), "its first frame is missing");
        assert!(follows(&mut sequences, 2, 1, 5), "another origin");
    }

    #[test]
    fn origins_that_come_and_go_do_not_pile_up() {
        let mut sequences = Sequences::default();
        for origin in 0..3 * MAX_TRACKED as u128 {
            assert!(follows(&mut sequences, origin, 1, 1));
        }
        assert!(sequences.last.len() <= MAX_TRACKED);
    }
}
