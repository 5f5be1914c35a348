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
//! A session that resumes brings what is as old as the time away. Until its first own heartbeat is back, dates are compared
//! with the time at which the last position was remembered that was live.
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
    /// While a session has resumed and is not up to date: when it was up to date for the last time.
    away_since: Option<UnixMillis>,
    /// When the last delivery was applied while up to date.
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
        Self {
            keys,
            namespace,
            own,
            replays: Replays::default(),
            began: 0,
            first_session: 0,
            away_since: None,
            up_to_date: 0,
        }
    }

    pub(super) fn begin_session(&mut self, session: u64, resumed: bool, now: UnixMillis) {
        if resumed {
            self.away_since = self.away_since.or(Some(self.up_to_date));
        } else {
            (self.began, self.first_session, self.away_since) = (now, session, None);
            self.up_to_date = now;
        }
    }

    /// A delivery was applied, or refused; if it was this session's own heartbeat, the session is up to date.
    pub(super) fn applied(&mut self, own_heartbeat: bool, now: UnixMillis) {
        if own_heartbeat {
            self.away_since = None;
        }
        if self.away_since.is_none() {
            self.up_to_date = now;
        }
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
            Novelty::Higher if sequences.know(head.origin, cache) => {}
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
        let earliest = self.away_since.unwrap_or(now).min(now).saturating_sub(window);
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
