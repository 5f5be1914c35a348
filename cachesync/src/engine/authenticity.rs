//! Authenticity: where there are shared keys, what comes in has to prove where it comes from, and that it is new.
//!
//! Invariant: what is refused here touches nothing. It is counted, apart from all else, and clears no cache, makes no gap,
//! and renews no lease; nobody but a holder of a key can make the node do anything.
//!
//! That a message is new is known in three ways:
//! - of a frame it is known that it is not, if its number was heard of its origin and cache, whenever that was (see
//!   [`replays`](super::replays));
//! - of a frame whose origin and cache were heard since the session began, or in one that it resumed, a number above all these is
//!   enough, whatever its date: what was published in that time was delivered to this node in order, so nobody has recorded
//!   something of a higher number that this node did not hear. The machine may have slept over a full socket, or the clocks have
//!   been set;
//! - all else must be dated within the window. So for the time of the window after a session began somebody can play back, once,
//!   what was sent while this node was away; evictions, and not the same again.
//!
//! "Since the session began" is by the date of the frame, too: what is dated earlier may be played back, so no gap is concluded
//! from its number ([`Authenticity::may_predate_session`]), or whoever plays back one frame could have a cache cleared by the
//! next one. An origin whose clock is behind has its first gaps unnoticed for as long as it is behind.
//!
//! The window reaches back from when this node's newest heartbeat was sent that has come back, or from now, if that is earlier.
//! For all that was published before that heartbeat has been applied; what comes now waited since then at the most, be it
//! for a heartbeat's way, or while all machines slept and no session ended, or for the time away in a session that resumes. Nobody
//! gains by it: what was published since then, while the session was up, was delivered to this node too.
//!
//! A node's own messages prove themselves, and it draws no conclusions from those of an earlier session that it did not
//! resume: a heartbeat heard twice renews nothing, and one of an earlier session does not count.

use std::{borrow::Cow, time::Duration};

use cachesync_core::{
    Name,
    backend::Delivery,
    codec,
    frame::{Frame, NodeId},
};

use super::{
    replays::{Novelty, Replays},
    sequence::Sequences,
};
use crate::{shared_keys::SharedKeys, statistics::Refusal};

/// Milliseconds since the Unix epoch, by some node's wall clock.
pub(super) type UnixMillis = u64;

pub(super) struct Authenticity {
    keys: SharedKeys,
    namespace: Name,
    own: NodeId,
    replays: Replays,
    /// When the last session began that did not resume, and its number.
    began: UnixMillis,
    first_session: u64,
    /// When this node's newest heartbeat was sent that has come back in its own session; before the first one, `began`.
    up_to_date: UnixMillis,
}

/// What is refused, and by how much its date is wrong, in milliseconds; in the future if that is more than 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: Refusal,
    pub(super) off: i64,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, off: 0 }
    }
}

impl Authenticity {
    pub(super) fn new(keys: SharedKeys, namespace: Name, own: NodeId) -> Self {
        Self { keys, namespace, own, replays: Replays::default(), began: 0, first_session: 0, up_to_date: 0 }
    }

    pub(super) fn begin_session(&mut self, session: u64, resumed: bool, now: UnixMillis) {
        if !resumed {
            (self.began, self.first_session, self.up_to_date) = (now, session, now);
        }
    }

    /// A heartbeat that this node sent in this session has come back. An older one may be played back, so it never goes back.
    pub(super) fn heard_itself(&mut self, sent_at: UnixMillis) {
        self.up_to_date = self.up_to_date.max(sent_at);
    }

    /// Whether `delivery`, a frame, may be looked at, and is signed.
    pub(super) fn admit_frame(
        &mut self,
        delivery: &Delivery,
        sequences: &Sequences,
        now: UnixMillis,
    ) -> Result<bool, Refused> {
        let unsigned = |refusal: Refusal| if self.keys.accepts_unsigned() { Ok(false) } else { Err(refusal.into()) };
        let Some(head) = codec::decode_head(&delivery.body) else { return unsigned(Refusal::Malformed) };
        if head.mac.is_empty() {
            return unsigned(Refusal::Unsigned);
        }
        let key = self.keys.key(head.key_id).ok_or(Refusal::UnknownKey)?;
        if !key.verify(&self.namespace, &head, &delivery.body) {
            return Err(Refusal::Forged.into());
        }
        // What a frame is about is proved; that it came by another way says that somebody has passed it on.
        if delivery.cache.is_some() && delivery.cache != head.cache {
            return Err(Refusal::Misaddressed.into());
        }
        if head.origin == self.own {
            return Ok(true);
        }
        let cache = head.cache.as_ref().ok_or(Refusal::Misaddressed)?;
        match self.replays.of_frame(head.origin, cache, head.sequence) {
            Novelty::None => return Err(Refusal::Replayed.into()),
            // What is remembered over sessions is forgotten by itself, so the session's own memory has to say so.
            Novelty::Higher if sequences.highest(head.origin, cache).is_some_and(|heard| head.sequence > heard) => {}
            Novelty::Higher | Novelty::Passed => self.check_date(head.sent_at, now)?,
        }
        self.replays.note_frame(head.origin, cache, head.sequence);
        Ok(true)
    }

    /// The eviction in `body`, JSON, and whether it is signed.
    pub(super) fn open_json<'a>(&mut self, body: &'a [u8], now: UnixMillis) -> Result<(Cow<'a, [u8]>, bool), Refused> {
        let Ok(json) = codec::decode_signed_json(body) else {
            if self.keys.accepts_unsigned() {
                return Ok((Cow::Borrowed(body), false));
            }
            return Err(Refusal::Unsigned.into());
        };
        let key = self.keys.key(json.key).ok_or(Refusal::UnknownKey)?;
        if !key.verify_json(&self.namespace, &json) {
            return Err(Refusal::Forged.into());
        }
        self.check_date(json.sent_at, now)?;
        if !self.replays.note_json(json.mac) {
            return Err(Refusal::Replayed.into());
        }
        Ok((Cow::Owned(json.evict.into_bytes()), true))
    }

    /// Whether a signed frame of another node may have been sent before this session, or those it resumes, began.
    pub(super) fn may_predate_session(&self, frame: &Frame) -> bool {
        frame.sent_at < self.began
    }

    /// Whether a signed frame of this node was encoded in a session that has not been resumed.
    pub(super) fn is_of_the_past(&self, own: &Frame) -> bool {
        own.session < self.first_session
    }

    fn check_date(&self, sent_at: UnixMillis, now: UnixMillis) -> Result<(), Refused> {
        let window = millis(self.keys.length_of_window());
        let earliest = self.up_to_date.min(now).saturating_sub(window);
        if (earliest..=now.saturating_add(window)).contains(&sent_at) {
            return Ok(());
        }
        let off = i64::try_from(i128::from(sent_at) - i128::from(now));
        Err(Refused { why: Refusal::OutOfTime, off: off.unwrap_or(i64::MAX) })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use cachesync_core::{backend::Format, frame::Operation, shape::KeyShape};

    use super::*;

    const OWN: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);
    const WINDOW: UnixMillis = 300_000;
    const NOW: UnixMillis = 1_760_000_000_000;

    fn users() -> Name {
        Name::new("users").unwrap()
    }

    fn keys() -> SharedKeys {
        SharedKeys::new(1, [1; 32]).unwrap()
    }

    fn frame(sequence: u64) -> Frame {
        Frame {
            origin: OTHER,
            session: 1,
            sequence,
            sent_at: 0,
            hold: Duration::ZERO,
            cache: Some(users()),
            shape: KeyShape::NONE,
            operation: Operation::All,
            authentication: None,
        }
    }

    fn begun() -> (Authenticity, Sequences) {
        let mut authenticity = Authenticity::new(keys(), Name::new("shop").unwrap(), OWN);
        authenticity.begin_session(1, false, NOW);
        (authenticity, Sequences::default())
    }

    fn admit(
        (authenticity, sequences): &mut (Authenticity, Sequences),
        sequence: u64,
        sent_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        let plain = codec::encode(&frame(sequence));
        let body = keys().signing_key().sign(&Name::new("shop").unwrap(), &plain, sent_at).unwrap();
        let delivery = Delivery { body, format: Format::Frame, cache: Some(users()), position: None };
        authenticity.admit_frame(&delivery, sequences, now).map_err(|refused| refused.why)?;
        sequences.note(&frame(sequence));
        Ok(())
    }

    /// What is known of the session and what is known over sessions forget by themselves, each after so many others.
    #[test]
    fn what_was_heard_long_ago_is_not_new_because_one_memory_of_two_has_forgotten_it() {
        let mut node = begun();
        assert_eq!(admit(&mut node, 5, NOW, NOW), Ok(()));
        for other in 0..25_000 {
            node.0.replays.note_frame(NodeId(1_000 + other), &users(), 1);
        }
        let later = NOW + 3 * WINDOW;
        node.0.heard_itself(later);
        assert_eq!(node.0.replays.of_frame(OTHER, &users(), 5), Novelty::Higher, "it is forgotten");
        for recorded in [3, 5] {
            assert_eq!(admit(&mut node, recorded, NOW, later), Err(Refusal::OutOfTime), "{recorded}");
        }
        assert_eq!(admit(&mut node, 6, NOW, later), Ok(()), "a number that the session has not heard is new");
    }

    #[test]
    fn the_window_reaches_back_from_the_last_heartbeat_that_came_back_and_an_older_one_does_not_widen_it() {
        let mut node = begun();
        let later = NOW + 10 * WINDOW;
        assert_eq!(admit(&mut node, 1, NOW - WINDOW - 1, later), Err(Refusal::OutOfTime));
        assert_eq!(admit(&mut node, 1, NOW - WINDOW, later), Ok(()));
        let mut node = begun();
        node.0.begin_session(2, true, later);
        node.0.heard_itself(later);
        node.0.heard_itself(NOW);
        assert_eq!(admit(&mut node, 1, later - WINDOW - 1, later), Err(Refusal::OutOfTime));
        assert_eq!(admit(&mut node, 1, later + WINDOW + 1, later), Err(Refusal::OutOfTime));
        // The clock is set back.
        assert_eq!(admit(&mut node, 1, NOW - WINDOW, NOW), Ok(()));
    }
}
