//! The receiver: what comes in is decoded and applied, in order, by one task.
//!
//! Invariants: applying a frame never publishes one (rule R4); whatever comes in, the receiver goes on, and what
//! cannot be understood clears what it may have concerned (rule R5). A position is remembered when the delivery that has
//! it is applied, and not before (rule R8). Where there are shared keys, what is not authentic is refused before anything looks
//! at it. What is counted has been done: who finds a message in the statistics finds nothing any more of what it evicted.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cachesync_core::{
    Name,
    backend::{Delivery, Format, Position},
    codec::{self, DecodeError, JsonEviction, JsonTarget, KeyError},
    frame::{Frame, Operation},
};

use super::{
    authenticity::{Authenticity, Refused},
    sequence::Sequences,
};
use crate::{
    cache::tags::Tag,
    clock::Moment,
    mutation::Mutation,
    registry::{node::Node, slot::Slot},
    statistics::{Refusal, count},
};

/// The longest hold that another node can ask for.
const MAX_HOLD: Duration = Duration::from_hours(1);

pub(super) struct Receiver {
    node: Arc<Node>,
    /// The number of this node's session of now.
    session: u64,
    sequences: Sequences,
    /// Where there are shared keys.
    authenticity: Option<Authenticity>,
    /// The last one applied, unless nothing is to be resumed.
    position: Option<Position>,
}

impl Receiver {
    pub(super) fn new(node: Arc<Node>) -> Self {
        let authenticity = node
            .keys
            .clone()
            .zip(node.namespace.clone())
            .map(|(keys, namespace)| Authenticity::new(keys, namespace, node.origin));
        Self { node, session: 0, sequences: Sequences::default(), authenticity, position: None }
    }

    /// Where the next session can resume.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// The next session is not to resume.
    pub(super) fn forget_position(&mut self) {
        self.position = None;
    }

    /// A session begins, after `heartbeats` of this node were confirmed in earlier ones. What is known of sequences is
    /// known in a session that resumes, too.
    pub(super) fn begin_session(&mut self, session: u64, heartbeats: u64, resumed: bool) {
        self.session = session;
        if let Some(authenticity) = &mut self.authenticity {
            authenticity.begin_session(session, resumed, self.node.clock.unix_millis());
        }
        if !resumed {
            self.sequences.forget(self.node.origin, heartbeats);
        }
    }

    /// Applies one delivery; returns the time of this node's heartbeat, if it is one that was sent in this session.
    pub(super) fn apply(&mut self, delivery: Delivery) -> Option<Moment> {
        let heartbeat = self.apply_body(&delivery);
        // What has none is behind the last that had one: it would come again, which is harmless.
        if delivery.position.is_some() {
            self.position = delivery.position;
        }
        heartbeat
    }

    /// Remembers a delivery as if it had been applied. For the mutation that does so.
    pub(super) fn remember_too_early(&mut self, delivery: &Delivery) {
        self.position.clone_from(&delivery.position);
        if let Ok(frame) = codec::decode(&delivery.body) {
            self.sequences.note(&frame);
        }
    }

    fn apply_body(&mut self, delivery: &Delivery) -> Option<Moment> {
        let mut body = Cow::Borrowed(delivery.body.as_slice());
        if let Some(authenticity) = &mut self.authenticity {
            let now = self.node.clock.unix_millis();
            let signed = match delivery.format {
                Format::Frame => authenticity.admit_frame(delivery, &self.sequences, now),
                Format::Json => authenticity.open_json(&delivery.body, now).map(|(eviction, signed)| {
                    body = eviction;
                    signed
                }),
            };
            match signed {
                Ok(signed) => count(&self.node.counters.unsigned, usize::from(!signed)),
                Err(refused) => {
                    self.refuse(&refused);
                    return None;
                }
            }
        }
        match delivery.format {
            Format::Frame => match codec::decode(&body) {
                Ok(frame) => return self.apply_frame(frame),
                Err(error) => self.bad(&error, delivery.cache.as_ref()),
            },
            Format::Json => match codec::decode_json(&body) {
                Ok(eviction) => {
                    self.apply_json(&eviction);
                    count(&self.node.counters.json_applied, 1);
                }
                Err(error) => self.bad(&error, delivery.cache.as_ref()),
            },
        }
        None
    }

    /// Counts what is not authentic, and logs the 1st, 2nd, 4th, 8th, ... of each kind. Nothing else comes of it.
    fn refuse(&self, Refused { why, off }: &Refused) {
        let so_far = self.node.counters.refused.count(*why);
        if *why == Refusal::OutOfTime {
            self.node.status.clocks_differ(*off);
        }
        if !so_far.is_power_of_two() {
            return;
        }
        match why {
            // What is sent again after a lost session is among them.
            Refusal::Replayed => tracing::debug!(so_far, "a message was refused: {why}"),
            Refusal::OutOfTime => tracing::error!(
                so_far,
                milliseconds_off = off,
                "a signed message was refused: {why}; clocks differ, and evictions are lost by that, or somebody plays back \
                 what was recorded"
            ),
            _ => tracing::warn!(so_far, "a message was refused: {why}"),
        }
    }

    fn apply_frame(&mut self, frame: Frame) -> Option<Moment> {
        // Unsigned ones are let in only while a service gets its first keys.
        let authenticity = self.authenticity.as_ref().filter(|_| frame.authentication.is_some());
        if frame.origin == self.node.origin {
            if authenticity.is_some_and(|authenticity| authenticity.is_of_the_past(&frame)) {
                return None;
            }
            return self.note_own(&frame);
        }
        // Of heartbeats only its own are for a node.
        let cache = frame.cache.as_ref()?;
        // What may have been played back says nothing of what is missing.
        let may_be_of_the_past = authenticity.is_some_and(|authenticity| {
            authenticity.may_predate_session(&frame) && self.sequences.highest(frame.origin, cache).is_none()
        });
        if !may_be_of_the_past && !self.sequences.note(&frame) && !Mutation::IgnoreGaps.is_on() {
            self.clear_after_gap(&frame, Some(cache));
        }
        if let Some(slot) = self.node.slot_or_hold(cache.as_str(), frame.hold.min(MAX_HOLD)) {
            self.apply_operation(&slot, &frame);
        }
        count(&self.node.counters.frames_applied, 1);
        None
    }

    /// Notes what this node sent itself; returns the time of a heartbeat of this session.
    ///
    /// Own frames need not be applied, but they come through the same queue as everybody's. If one is missing, so may be
    /// anything else.
    fn note_own(&mut self, frame: &Frame) -> Option<Moment> {
        if !self.sequences.note(frame) && !Mutation::IgnoreOwnGaps.is_on() {
            self.clear_after_gap(frame, None);
        }
        match frame.operation {
            // One of an earlier session comes where a session resumes, or late out of one that was lost. That everything
            // confirmed before it is ahead of it was the promise of its own session, which has been broken, nobody knows
            // when. The first of this session comes behind all that was missed, and is on its way already. One that is yet to
            // be sent is somebody's forgery.
            Operation::Heartbeat { at } if frame.session == self.session && Moment(at) <= self.node.clock.boot() => {
                if let Some(authenticity) = &mut self.authenticity {
                    authenticity.heard_itself(frame.sent_at);
                }
                Some(Moment(at))
            }
            _ => None,
        }
    }

    /// A frame before this one is missing, of this cache, or of any.
    fn clear_after_gap(&self, frame: &Frame, cache: Option<&Name>) {
        self.node.clear_what_it_concerned(cache);
        let so_far = self.node.counters.gaps.fetch_add(1, Ordering::Relaxed) + 1;
        // The 1st, 2nd, 4th, 8th, ...
        if so_far.is_power_of_two() {
            let origin = frame.origin;
            if let Some(cache) = cache {
                tracing::warn!(%cache, %origin, so_far, "a frame is missing: the cache is cleared");
            } else {
                tracing::warn!(so_far, "a message of this node to itself is missing: all caches are cleared");
            }
        }
    }

    fn apply_operation(&self, slot: &Slot, frame: &Frame) {
        let hold = frame.hold.min(MAX_HOLD);
        let counters = &slot.info.counters;
        match &frame.operation {
            // A trailer. It names no key, so there is no shape to compare.
            Operation::Keys(keys) if keys.is_empty() => {}
            Operation::Keys(keys) => {
                let Some(store) = slot.any_store(hold) else {
                    count(&counters.evicted_by_others, keys.len());
                    return;
                };
                if let Some(shape) = slot.shape().filter(|shape| **shape != frame.shape) {
                    slot.problem(format!(
                        "another node has keys of the form `{}`, this one `{shape}`: it is cleared whenever that node \
                         evicts a key; run one version of the key type",
                        frame.shape
                    ));
                    tracing::debug!(cache = %slot.info.name, origin = %frame.origin, "keys of a foreign shape");
                    slot.evict_all(hold);
                    count(&counters.cleared, 1);
                    return;
                }
                match guarded(|| store.evict_encoded(keys, hold)) {
                    Ok(()) => count(&counters.evicted_by_others, keys.len()),
                    Err(error) => {
                        store.evict_all(hold);
                        count(&counters.cleared, 1);
                        self.note_bad(&format!("of cache `{}`, {error}", slot.info.name));
                    }
                }
            }
            Operation::All => {
                slot.evict_all(hold);
                count(&counters.evicted_by_others, 1);
            }
            Operation::Tags(tags) => self.evict_tags(slot, tags, hold),
            // What a later version may mean is not known.
            _ => {
                slot.evict_all(hold);
                count(&counters.cleared, 1);
            }
        }
    }

    /// Evicts by tag. Tags are text whatever the keys are, so there is no shape to compare.
    fn evict_tags(&self, slot: &Slot, tags: &[String], hold: Duration) {
        let evicted: Vec<_> = tags.iter().map(|tag| Tag::new(tag.as_str())).collect();
        let counters = &slot.info.counters;
        // It runs `Hash` and `Eq` of the keys.
        match guarded(|| {
            slot.evict_tags(&evicted, hold);
            Ok(())
        }) {
            Ok(()) => count(&counters.evicted_by_others, tags.len()),
            Err(error) => {
                slot.evict_all(hold);
                count(&counters.cleared, 1);
                self.note_bad(&format!("of cache `{}`, {error}", slot.info.name));
            }
        }
    }

    fn apply_json(&self, JsonEviction { cache, target }: &JsonEviction) {
        let Some(slot) = self.node.existing_slot(cache.as_str()) else { return };
        let counters = &slot.info.counters;
        let keys = match target {
            JsonTarget::Keys(keys) => keys,
            JsonTarget::Tags(tags) => return self.evict_tags(&slot, tags, Duration::ZERO),
            JsonTarget::All => {
                slot.evict_all(Duration::ZERO);
                count(&counters.evicted_by_others, 1);
                return;
            }
        };
        let evict = || slot.any_store(Duration::ZERO).map_or(Ok(()), |store| store.evict_json(keys));
        match guarded(evict) {
            Ok(()) => count(&counters.evicted_by_others, keys.len()),
            Err(error) => {
                let error = DecodeError { reason: codec::DecodeReason::BadJson, cache: Some(cache.clone()) }
                    .to_string()
                    + &format!(" with keys of this cache: {error}");
                self.node.clear_what_it_concerned(Some(cache));
                self.note_bad(&error);
            }
        }
    }

    /// What the body names is more exact than its address, and the address better than nothing.
    fn bad(&self, error: &DecodeError, address: Option<&Name>) {
        self.node.clear_what_it_concerned(error.cache.as_ref().or(address));
        self.note_bad(&error.to_string());
    }

    /// Counts a message that was not understood, and logs the 1st, 2nd, 4th, 8th, ... of them.
    fn note_bad(&self, error: &str) {
        let counter = &self.node.counters.bad_messages;
        count(counter, 1);
        let so_far = counter.load(Ordering::Relaxed);
        if so_far.is_power_of_two() {
            tracing::warn!(so_far, "a message was not understood: {error}; what it may have concerned is cleared");
        }
    }
}

/// Runs code of the user's, the key's `Deserialize` above all, on what came from outside. Should it panic, the node goes
/// on; what that concerned is for the caller to clear.
fn guarded(evict: impl FnOnce() -> Result<(), KeyError>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(evict)) {
        Ok(evicted) => evicted.map_err(|error| error.to_string()),
        Err(_) => Err("the key type panicked over a key".into()),
    }
}
