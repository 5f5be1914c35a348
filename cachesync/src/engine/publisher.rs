//! The sending side of a session: the outbox becomes frames, the clock becomes heartbeats.
//!
//! Invariant: at most one batch of frames is encoded and not confirmed. It is kept until it is, over as many sessions
//! as that takes, and goes out before anything newer (rule R7).
//!
//! A frame that is lost is noticed by the next one of its cache (see [`sequence`](super::sequence)). So that the last one
//! before a silence has a next one, too, a trailer follows it: a frame that evicts nothing. It goes out with the first
//! heartbeat before which a cache has been silent for a whole beat; later where there are more of them than one portion, or
//! evictions under way, which come first. It costs one small message for each cache and silence, and none while a cache is
//! busy. Each session begins with one more: a broker that lost what it had confirmed, such as the end of a stream, lost that
//! trailer too. A trailer is kept until it is confirmed as any frame, or its number would be given twice.
//!
//! Where there are shared keys, messages are dated and signed when they go out, each time anew: one that has waited through a long
//! outage would be too old for its receivers. All else is as it was encoded, the number above all.

use std::{borrow::Cow, collections::BTreeMap, future::ready, sync::Arc, time::Duration};

use cachesync_core::{
    BackendError, Name, Publisher,
    backend::{Message, Topic},
    codec::{self, MAX_KEYS, TARGET_FRAME_BYTES},
    frame::{Frame, Operation},
    shape::KeyShape,
};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{
    outbox::{Batch, Outbox},
    waiting::Pending,
};
use crate::{clock::Moment, mutation::Mutation, registry::node::Node, statistics::count};

pub(crate) struct Sender {
    node: Arc<Node>,
    heartbeat: Duration,
    /// Counts this node's sessions.
    session: u64,
    /// How many heartbeats were confirmed. One that was not gives its number to the next: two of a number are no gap.
    heartbeats: u64,
    /// In the order of names, so that a simulated run can be repeated.
    caches: BTreeMap<Name, Sent>,
    unconfirmed: Option<Encoded>,
}

/// What was sent of a cache, in sequences.
#[derive(Default)]
struct Sent {
    last: u64,
    /// The last one at the heartbeat before.
    at_heartbeat: u64,
    /// The last trailer.
    trailer: u64,
}

/// The most messages that go out between two looks at the clock: a heartbeat must not wait for a whole batch, or a slow
/// broker would make the node end its session and begin the batch again, for ever.
/// Where the rules are broken on purpose, and under the model checker, few, so that one batch takes several.
const MESSAGES_AT_ONCE: usize = if cfg!(any(cachesync_mutations, all(test, cachesync_shuttle))) { 2 } else { 16 };
/// The most bytes of these, but for the last of them.
const BYTES_AT_ONCE: usize = 512 * 1024;

/// A batch as it goes out.
struct Encoded {
    messages: Vec<Message>,
    /// How many of them are confirmed.
    confirmed: usize,
    ticket: u64,
}

impl Sender {
    pub(crate) fn new(node: Arc<Node>, heartbeat: Duration) -> Self {
        Self { node, heartbeat, session: 0, heartbeats: 0, caches: BTreeMap::new(), unconfirmed: None }
    }

    /// The number of this session.
    pub(super) fn session(&self) -> u64 {
        self.session
    }

    /// The sequence of the last heartbeat that was confirmed.
    pub(super) fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    pub(crate) fn begin_session(&mut self) {
        self.session += 1;
        // What a broker lost with its trailer, although it had confirmed both, is noticed by another one.
        for sent in self.caches.values_mut() {
            sent.trailer = 0;
        }
        if Mutation::DoNotResend.is_on()
            && let (Some(batch), Some(outbox)) = (self.unconfirmed.take(), &self.node.outbox)
        {
            outbox.confirm(batch.ticket);
        }
    }

    /// Sends what waits and what comes, and heartbeats, until the session is lost or `ending` resolves; then what
    /// still waits.
    ///
    /// # Cancel safety
    ///
    /// No eviction is lost when the future is dropped: what was not confirmed is kept for the next session.
    pub(crate) async fn send(
        &mut self,
        publisher: &mut dyn Publisher,
        ending: impl Future<Output = ()>,
    ) -> Result<(), BackendError> {
        let node = self.node.clone();
        let Some(outbox) = &node.outbox else { return Ok(()) };
        // The first tick comes at once.
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(ending);
        loop {
            // No publish is ever cut short by another branch: all of them are run to their end here.
            tokio::select! {
                biased;
                () = &mut ending => break,
                _ = heartbeat.tick() => {
                    self.beat(publisher).await?;
                    self.add_trailers();
                    // Now, as the next beat may be due already: where a confirmation takes longer than a beat there would
                    // be nothing but heartbeats, for ever.
                    self.send_batch(publisher, outbox).await?;
                }
                () = self.waiting(outbox) => self.send_batch(publisher, outbox).await?,
            }
        }
        // What was pushed before the end, and what came until that was sent; from the seal on a push is told that it
        // comes too late, so this ends however many are pushed.
        let ticket = outbox.last_ticket();
        while !outbox.is_confirmed(ticket) {
            self.send_at_the_end(publisher, outbox, &mut heartbeat).await?;
        }
        outbox.seal();
        while !outbox.is_empty() {
            self.send_at_the_end(publisher, outbox, &mut heartbeat).await?;
        }
        self.node.lease.close();
        Ok(())
    }

    /// Sends some of what waits, after a heartbeat if one is due: the end, too, may take longer than the lease.
    async fn send_at_the_end(
        &mut self,
        publisher: &mut dyn Publisher,
        outbox: &Outbox,
        heartbeat: &mut Interval,
    ) -> Result<(), BackendError> {
        let is_due = tokio::select! {
            biased;
            _ = heartbeat.tick() => true,
            () = ready(()) => false,
        };
        if is_due {
            self.beat(publisher).await?;
        }
        self.send_batch(publisher, outbox).await
    }

    async fn waiting(&self, outbox: &Outbox) {
        if self.unconfirmed.is_none() {
            outbox.pushed().await;
        }
    }

    /// Sends some of the batch that is not confirmed, or else of what waits now.
    async fn send_batch(&mut self, publisher: &mut dyn Publisher, outbox: &Outbox) -> Result<(), BackendError> {
        if self.unconfirmed.is_none() {
            let Some(batch) = outbox.take() else { return Ok(()) };
            self.unconfirmed = Some(self.encode(batch));
        }
        let Some(batch) = &mut self.unconfirmed else { return Ok(()) };
        let some = portion(&batch.messages[batch.confirmed..]);
        if Mutation::ConfirmBeforeItIsTaken.is_on() {
            outbox.confirm(batch.ticket);
        }
        publisher.publish(&signed(&self.node, some)).await?;
        count(&self.node.counters.frames_sent, some.len());
        batch.confirmed += some.len();
        if batch.confirmed == batch.messages.len() {
            outbox.confirm(batch.ticket);
            self.unconfirmed = None;
        }
        Ok(())
    }

    /// Publishes a heartbeat. Every frame confirmed so far is ahead of it in this node's own queue.
    async fn beat(&mut self, publisher: &mut dyn Publisher) -> Result<(), BackendError> {
        // Read before publishing: the lease counts from here.
        let at = self.node.clock.boot().0;
        let sequence = self.heartbeats + 1;
        let frame = self.frame(None, sequence, KeyShape::NONE, Duration::ZERO, Operation::Heartbeat { at });
        let message = Message { topic: Topic::Heartbeat(self.node.origin), body: codec::encode(&frame) };
        publisher.publish(&signed(&self.node, &[message])).await?;
        self.heartbeats = sequence;
        if Mutation::RenewUnheard.is_on() {
            self.node.lease.renew(&self.node.clock, Moment(at));
        }
        count(&self.node.counters.frames_sent, 1);
        Ok(())
    }

    /// Lets a trailer follow the last frame of each cache that has been silent since the heartbeat before.
    fn add_trailers(&mut self) {
        // What is under way comes first; a later heartbeat finds them as silent.
        if self.unconfirmed.is_some() || Mutation::SendNoTrailers.is_on() {
            return;
        }
        let mut silent = Vec::new();
        for (cache, sent) in &mut self.caches {
            // No more than one portion: evictions that come now wait for it.
            let fits = silent.len() < MESSAGES_AT_ONCE;
            if fits && sent.last == sent.at_heartbeat && sent.last != sent.trailer {
                sent.trailer = sent.last + 1;
                silent.push(cache.clone());
            }
            sent.at_heartbeat = sent.last;
        }
        if silent.is_empty() {
            return;
        }
        let trailer = |cache: &Name| self.message(cache, KeyShape::NONE, Duration::ZERO, Operation::Keys(Vec::new()));
        // Nobody waits for it, so it confirms nothing.
        self.unconfirmed = Some(Encoded { messages: silent.iter().map(trailer).collect(), confirmed: 0, ticket: 0 });
    }

    fn encode(&mut self, batch: Batch) -> Encoded {
        let mut messages = Vec::new();
        for (cache, Pending { shape, keys, tags, all, .. }) in batch.caches {
            if let Some(hold) = all {
                messages.push(self.message(&cache, KeyShape::NONE, hold, Operation::All));
            }
            let shape = shape.unwrap_or(KeyShape::NONE);
            for (hold, keys) in frames_of(keys, |key| key.len()) {
                messages.push(self.message(&cache, shape.clone(), hold, Operation::Keys(keys)));
            }
            for (hold, tags) in frames_of(tags, |tag| tag.as_str().len()) {
                let tags = tags.iter().map(ToString::to_string).collect();
                messages.push(self.message(&cache, KeyShape::NONE, hold, Operation::Tags(tags)));
            }
        }
        Encoded { messages, confirmed: 0, ticket: batch.ticket }
    }

    fn message(&mut self, cache: &Name, shape: KeyShape, hold: Duration, operation: Operation) -> Message {
        let sent = self.caches.entry(cache.clone()).or_default();
        sent.last += 1;
        let sequence = sent.last;
        let frame = self.frame(Some(cache.clone()), sequence, shape, hold, operation);
        Message { topic: Topic::Cache(cache.clone()), body: codec::encode(&frame) }
    }

    fn frame(
        &self,
        cache: Option<Name>,
        sequence: u64,
        shape: KeyShape,
        hold: Duration,
        operation: Operation,
    ) -> Frame {
        Frame {
            origin: self.node.origin,
            session: self.session,
            sequence,
            sent_at: self.node.clock.unix_millis(),
            hold,
            cache,
            shape,
            operation,
            authentication: None,
        }
    }
}

/// Messages as they go out now.
fn signed<'a>(node: &Node, messages: &'a [Message]) -> Cow<'a, [Message]> {
    let (Some(keys), Some(namespace)) = (&node.keys, &node.namespace) else { return Cow::Borrowed(messages) };
    let now = node.clock.unix_millis();
    let sign = |Message { topic, body }: &Message| {
        let body = keys.signing_key().sign(namespace, body, now).expect("it was encoded here");
        Message { topic: topic.clone(), body }
    };
    messages.iter().map(sign).collect()
}

/// What goes out at once.
fn portion(messages: &[Message]) -> &[Message] {
    let mut bytes = 0;
    let fit = messages.iter().take(MESSAGES_AT_ONCE).take_while(|message| {
        let fits = bytes < BYTES_AT_ONCE;
        bytes += message.body.len();
        fits
    });
    &messages[..fit.count()]
}

/// Divides keys or tags among frames: one hold to a frame, and no frame above the limits.
fn frames_of<T>(
    waiting: impl IntoIterator<Item = (T, Duration)>,
    bytes_of: impl Fn(&T) -> usize,
) -> Vec<(Duration, Vec<T>)> {
    let mut frames = Vec::new();
    // In the order of the holds, so that a simulated run can be repeated.
    let mut open: BTreeMap<Duration, (usize, Vec<T>)> = BTreeMap::new();
    for (one, hold) in waiting {
        let (bytes, frame) = open.entry(hold).or_insert_with(|| (0, Vec::new()));
        *bytes += bytes_of(&one);
        frame.push(one);
        if frame.len() == MAX_KEYS || *bytes >= TARGET_FRAME_BYTES {
            frames.push((hold, std::mem::take(frame)));
            *bytes = 0;
        }
    }
    frames.extend(open.into_iter().filter(|(_, (_, rest))| !rest.is_empty()).map(|(hold, (_, rest))| (hold, rest)));
    frames
}

#[cfg(test)]
mod tests {
    use cachesync_core::frame::NodeId;

    use super::*;
    use crate::cache::tags::Tag;

    #[test]
    fn fifty_thousand_keys_are_tens_of_frames_and_each_hold_has_its_own() {
        let seconds = |hold| Duration::from_secs(hold);
        let keys = (0..50_000u64).map(|key| (codec::encode_key(&key).unwrap(), seconds(key % 2)));
        let frames = frames_of(keys, |key| key.len());
        assert!((50..=52).contains(&frames.len()), "{}", frames.len());
        assert_eq!(frames.iter().map(|(_, keys)| keys.len()).sum::<usize>(), 50_000);
        assert!(frames.iter().all(|(_, keys)| keys.len() <= MAX_KEYS));
    }

    #[test]
    fn what_goes_out_at_once_is_bounded_in_number_and_bytes() {
        let messages = |count: usize, length: usize| {
            let message = Message { topic: Topic::Heartbeat(NodeId(1)), body: vec![0; length] };
            portion(&vec![message; count]).len()
        };
        assert_eq!((messages(0, 1), messages(15, 1), messages(17, 1)), (0, 15, MESSAGES_AT_ONCE));
        assert_eq!((messages(16, 128 * 1024), messages(16, 200 * 1024), messages(2, 1024 * 1024)), (4, 3, 1));
    }

    #[test]
    fn long_tags_make_frames_that_every_reader_accepts() {
        let tags = (0..3_000).map(|tag| (Tag::new(&format!("{tag:1024}")), Duration::ZERO));
        let frames = frames_of(tags, |tag: &Tag| tag.as_str().len());
        assert_eq!(frames.iter().map(|(_, tags)| tags.len()).sum::<usize>(), 3_000);
        for (_, tags) in frames {
            let tags: Vec<_> = tags.iter().map(ToString::to_string).collect();
            let frame = Frame {
                origin: NodeId(1),
                session: 1,
                sequence: 1,
                sent_at: 0,
                hold: Duration::ZERO,
                cache: Name::new("users").ok(),
                shape: KeyShape::NONE,
                operation: Operation::Tags(tags),
                authentication: None,
            };
            assert_eq!(codec::decode(&codec::encode(&frame)), Ok(frame));
        }
    }

    #[test]
    fn long_keys_make_frames_that_every_reader_accepts() {
        let keys = (0..100).map(|key| (codec::encode_key(&format!("{key:16000}")).unwrap(), Duration::ZERO));
        for (hold, keys) in frames_of(keys, |key| key.len()) {
            let bytes = keys.iter().map(|key| key.len()).sum::<usize>();
            assert!(bytes < codec::MAX_FRAME_BYTES / 2, "{bytes}");
            assert_eq!(hold, Duration::ZERO);
        }
    }
}
