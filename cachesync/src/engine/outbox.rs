//! The outbox: evictions that wait to be broadcast.
//!
//! Invariants (rule R7):
//! - what was pushed is either here, or in the batch that the engine holds, or confirmed;
//! - it is bounded, see [`waiting`](super::waiting): what waits, what is being sent, and what is to be sent again, each by
//!   itself;
//! - tickets rise with every push, and a batch carries the highest ticket it contains, so "confirmed up to" is one
//!   number;
//! - an eviction with a hold is sent a second time, without, when the hold is over. Its outcome was unknown; a node that
//!   opened a session in between has cleared, and knows of no hold: it may have kept what was true until the database
//!   committed after all. Should the registry end before, it is sent at once, with what is left of the hold.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use cachesync_core::{Name, frame::EncodedKey, shape::KeyShape};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    depth::{Left, OutboxDepth},
    echoes::Echoes,
    waiting::{Pending, Waiting},
};
use crate::{
    cache::tags::Tag,
    mutation::Mutation,
    sync::{Mutex, MutexGuard, Notify},
};

/// The ticket of a push that came too late: it will never be confirmed.
pub(crate) const NEVER: u64 = u64::MAX;

pub(crate) struct Outbox {
    state: Mutex<State>,
    pushed: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct State {
    now: Waiting,
    /// What was taken and is not confirmed.
    taken: Left,
    /// What is to be sent again, and when.
    echoes: Echoes,
    /// Of the last push.
    ticket: u64,
    /// How often keys and tags became "all", since there were too many of them.
    overflows: u64,
    /// Nobody will send any more.
    sealed: bool,
}

/// Everything that waited at one moment.
pub(crate) struct Batch {
    pub(crate) caches: BTreeMap<Name, Pending>,
    /// Of the last push in it.
    pub(crate) ticket: u64,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    /// Every push up to this ticket is confirmed.
    confirmed: u64,
    closed: bool,
}

/// The outbox was closed before the evictions were confirmed.
#[derive(Debug)]
pub(crate) struct Closed;

/// Caches whose evictions became "all", to be logged when no lock is held.
#[must_use = "say so when no lock is held"]
struct Overflow {
    caches: Vec<Name>,
    /// How often that has happened, with these.
    so_far: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { state: Mutex::default(), pushed: Notify::new(), progress: watch::Sender::new(Progress::default()) }
    }
}

impl Outbox {
    pub(crate) fn push_key(&self, cache: &Name, shape: &KeyShape, key: EncodedKey, hold: Duration) -> u64 {
        self.push(key, hold, |waiting, key, hold| waiting.add_keys(cache, shape, [key], hold))
    }

    pub(crate) fn push_keys(&self, cache: &Name, shape: &KeyShape, keys: Vec<EncodedKey>, hold: Duration) -> u64 {
        self.push(keys, hold, |waiting, keys, hold| waiting.add_keys(cache, shape, keys, hold))
    }

    pub(crate) fn push_tags(&self, cache: &Name, tags: &[Tag], hold: Duration) -> u64 {
        self.push((), hold, |waiting, (), hold| tags.iter().for_each(|tag| waiting.add_tag(cache, tag.clone(), hold)))
    }

    pub(crate) fn push_all(&self, cache: &Name, hold: Duration) -> u64 {
        self.push((), hold, |waiting, (), hold| waiting.add_all(cache, hold))
    }

    fn push<T: Clone>(&self, what: T, hold: Duration, add: impl Fn(&mut Waiting, T, Duration)) -> u64 {
        let again = (!hold.is_zero() && !Mutation::DoNotRepeatAfterTheHold.is_on()).then(|| what.clone());
        let (ticket, overflow) = {
            let mut state = self.state();
            if state.sealed {
                return NEVER;
            }
            add(&mut state.now, what, hold);
            let mut collapsed = state.now.bound();
            if let Some(again) = again {
                collapsed.extend(state.echoes.add(Instant::now(), hold, |echo| add(echo, again, Duration::ZERO)));
            }
            state.ticket += 1;
            (state.ticket, state.overflow(collapsed))
        };
        self.pushed.notify_one();
        if !overflow.caches.is_empty() {
            overflow.log();
        }
        ticket
    }

    /// Takes everything that waits; `None` if nothing does. It counts as waiting until it is confirmed.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        let overflow = state.release_due_echoes();
        let now = std::mem::take(&mut state.now);
        let batch = (!now.is_empty()).then(|| {
            state.taken.add(now.by_cache());
            Batch { caches: now.into_caches(), ticket: state.ticket }
        });
        drop(state);
        overflow.log();
        batch
    }

    /// Takes no more pushes; what waits can still be taken.
    pub(crate) fn seal(&self) {
        let mut state = self.state();
        state.sealed = true;
        let overflow = state.release_all_echoes();
        drop(state);
        overflow.log();
    }

    /// Whether every push up to `ticket` has been confirmed.
    pub(crate) fn is_confirmed(&self, ticket: u64) -> bool {
        self.progress.borrow().confirmed >= ticket
    }

    /// Waits until something waits. May return without reason.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    pub(crate) async fn pushed(&self) {
        let echo = {
            let state = self.state();
            if !state.now.is_empty() {
                return;
            }
            state.echoes.first_due()
        };
        let Some(due) = echo else { return self.pushed.notified().await };
        tokio::select! {
            biased;
            () = self.pushed.notified() => {}
            () = sleep_until(due) => {}
        }
    }

    /// States that what was taken, which is every push up to `ticket`, has been confirmed.
    pub(crate) fn confirm(&self, ticket: u64) {
        // First, so that who waits for the confirmation finds nothing of it left.
        self.state().taken = Left::default();
        self.progress.send_modify(|progress| progress.confirmed = progress.confirmed.max(ticket));
    }

    /// Sends at once what would be sent again when its hold is over: the registry ends.
    pub(crate) fn hurry(&self) {
        let overflow = self.state().release_all_echoes();
        self.pushed.notify_one();
        overflow.log();
    }

    /// Takes no more pushes, and wakes everybody who waits for a confirmation that will not come.
    pub(crate) fn close(&self) {
        self.seal();
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Waits until every push up to `ticket` has been confirmed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the evictions go out all the same.
    pub(crate) async fn confirmed(&self, ticket: u64) -> Result<(), Closed> {
        let mut progress = self.progress.subscribe();
        let reached = |progress: &Progress| progress.confirmed >= ticket || progress.closed;
        // The sender lives in `self`, so the channel cannot close while this waits.
        match progress.wait_for(reached).await {
            Ok(progress) if progress.confirmed >= ticket => Ok(()),
            _ => Err(Closed),
        }
    }

    /// The ticket of the last push, or of the last echo that is due.
    pub(crate) fn last_ticket(&self) -> u64 {
        let mut state = self.state();
        let overflow = state.release_due_echoes();
        let ticket = state.ticket;
        drop(state);
        overflow.log();
        ticket
    }

    /// How much waits for the broker, sent or not, and how much is to be sent again.
    pub(crate) fn depth(&self) -> OutboxDepth {
        let mut state = self.state();
        let overflow = state.release_due_echoes();
        let mut depth = state.taken.depth();
        depth += state.now.depth();
        depth.repeats = state.echoes.len();
        drop(state);
        overflow.log();
        depth
    }

    /// Whether nothing waits for the broker.
    pub(crate) fn is_empty(&self) -> bool {
        self.depth().is_empty()
    }

    /// What waits for the broker, by cache.
    pub(crate) fn left(&self) -> Left {
        let state = self.state();
        let mut left = state.taken.clone();
        left.add(state.now.by_cache());
        left
    }

    /// How often the keys and tags of a cache became "all", since there were too many of them.
    pub(crate) fn overflows(&self) -> u64 {
        self.state().overflows
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets those echoes wait to be sent that are due.
    fn release_due_echoes(&mut self) -> Overflow {
        let mut collapsed = Vec::new();
        if self.echoes.first_due().is_some() {
            let now = Instant::now();
            while let Some(echo) = self.echoes.take_due(now) {
                collapsed.extend(self.release(echo, Duration::ZERO));
            }
        }
        self.overflow(collapsed)
    }

    /// The same for all, each with what is left of its hold.
    fn release_all_echoes(&mut self) -> Overflow {
        let mut collapsed = Vec::new();
        if self.echoes.first_due().is_some() {
            let now = Instant::now();
            while let Some((echo, left)) = self.echoes.take_any(now) {
                collapsed.extend(self.release(echo, left));
            }
        }
        self.overflow(collapsed)
    }

    fn release(&mut self, echo: Waiting, hold: Duration) -> Vec<Name> {
        self.ticket += 1;
        self.now.absorb(echo, hold);
        self.now.bound()
    }

    fn overflow(&mut self, caches: Vec<Name>) -> Overflow {
        self.overflows += caches.len() as u64;
        Overflow { caches, so_far: self.overflows }
    }
}

impl Overflow {
    /// Says so if it is the 1st, 2nd, 4th, 8th, ... time.
    fn log(self) {
        let before = self.so_far - self.caches.len() as u64;
        for (so_far, cache) in (before + 1..).zip(self.caches) {
            if so_far.is_power_of_two() {
                tracing::warn!(%cache, so_far, "too many evictions wait for the broker: evicting all of the cache");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::codec;

    use super::{super::waiting::MAX_KEYS, *};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn push(outbox: &Outbox, cache: &str, key: u64, hold: u64) -> u64 {
        let key = codec::encode_key(&key).unwrap();
        outbox.push_key(&name(cache), &KeyShape::of::<u64>(), key, Duration::from_secs(hold))
    }

    #[test]
    fn the_same_key_waits_once_with_its_longest_hold() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 0);
        push(&outbox, "users", 1, 5);
        push(&outbox, "users", 1, 2);
        let batch = outbox.take().unwrap();
        let holds: Vec<_> = batch.caches[&name("users")].holds().collect();
        assert_eq!(holds, [Duration::from_secs(5)]);
        assert_eq!(batch.ticket, 3);
        assert!(outbox.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_pushed_at_once_wait_as_those_that_are_pushed_one_by_one() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 0);
        let keys = [1u64, 2].map(|key| codec::encode_key(&key).unwrap());
        let hold = Duration::from_secs(5);
        assert_eq!(outbox.push_keys(&name("users"), &KeyShape::of::<u64>(), keys.to_vec(), hold), 2);
        assert_eq!((outbox.depth().keys, outbox.depth().repeats), (2, 2));
        let batch = outbox.take().unwrap();
        assert!(batch.caches[&name("users")].holds().eq([hold; 2]));
    }

    #[test]
    fn all_swallows_keys_before_and_after_it() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 3);
        outbox.push_all(&name("users"), Duration::ZERO);
        push(&outbox, "users", 2, 4);
        let batch = outbox.take().unwrap();
        let pending = &batch.caches[&name("users")];
        assert_eq!(pending.keys.len(), 0);
        assert_eq!(pending.all, Some(Duration::from_secs(4)));
    }

    #[test]
    fn a_tag_waits_once_with_its_longest_hold_beside_the_keys() {
        let outbox = Outbox::default();
        let tags = |tags: &[&str], hold| {
            let tags: Vec<_> = tags.iter().map(|tag| Tag::new(*tag)).collect();
            outbox.push_tags(&name("users"), &tags, Duration::from_secs(hold))
        };
        tags(&["a", "b"], 0);
        tags(&["a", "a"], 5);
        push(&outbox, "users", 1, 0);
        assert_eq!(tags(&["a"], 2), 4);
        let batch = outbox.take().unwrap();
        let pending = &batch.caches[&name("users")];
        assert_eq!((pending.tags.len(), pending.keys.len(), pending.all), (2, 1, None));
        assert!(pending.tags.holds().eq([Duration::from_secs(5), Duration::ZERO]));
    }

    #[test]
    fn all_swallows_tags_before_and_after_it() {
        let outbox = Outbox::default();
        outbox.push_tags(&name("users"), &[Tag::new("a")], Duration::from_secs(3));
        outbox.push_all(&name("users"), Duration::ZERO);
        outbox.push_tags(&name("users"), &[Tag::new("b")], Duration::from_secs(2));
        let batch = outbox.take().unwrap();
        let pending = &batch.caches[&name("users")];
        assert_eq!((pending.tags.len(), pending.all), (0, Some(Duration::from_secs(3))));
    }

    #[tokio::test]
    async fn a_confirmation_reaches_those_before_it_and_closing_reaches_the_rest() {
        let outbox = Outbox::default();
        let first = push(&outbox, "users", 1, 0);
        let batch = outbox.take().unwrap();
        let second = push(&outbox, "users", 2, 0);
        outbox.confirm(batch.ticket);
        outbox.confirmed(first).await.unwrap();
        assert_eq!(outbox.depth().len(), 1);
        outbox.close();
        outbox.confirmed(first).await.unwrap();
        outbox.confirmed(second).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_push_that_comes_too_late_is_told_so() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 0);
        outbox.seal();
        assert_eq!(push(&outbox, "users", 2, 0), NEVER);
        assert_eq!(outbox.take().unwrap().ticket, 1, "what came before can still be sent");
        outbox.close();
        outbox.confirmed(NEVER).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_a_hold_is_sent_again_without_when_the_hold_is_over() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 5);
        push(&outbox, "users", 2, 0);
        outbox.push_tags(&name("users"), &[Tag::new("a")], Duration::from_secs(5));
        outbox.push_all(&name("rates"), Duration::from_secs(7));
        let batch = outbox.take().unwrap();
        assert_eq!(batch.caches[&name("users")].depth().len(), 3);
        outbox.confirm(batch.ticket);
        assert_eq!((outbox.depth().len(), outbox.depth().repeats), (0, 3), "an echo waits only when it is due");

        tokio::time::advance(Duration::from_secs(6)).await;
        let echo = outbox.take().unwrap();
        let pending = &echo.caches[&name("users")];
        assert_eq!((pending.keys.len(), pending.tags.len()), (1, 1));
        assert!(pending.holds().all(|hold| hold.is_zero()));
        assert!(echo.ticket > batch.ticket);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((outbox.depth().len(), outbox.depth().repeats), (3, 0));
        assert_eq!(outbox.take().unwrap().caches[&name("rates")].all, Some(Duration::ZERO));
        assert!(outbox.take().is_none());
    }

    #[tokio::test]
    async fn what_was_pushed_before_waiting_is_not_waited_for() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 0);
        outbox.pushed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_of_the_registry_it_is_sent_again_at_once_with_the_rest_of_its_hold() {
        type End = fn(&Outbox);

        let (hurry, seal): (End, End) = (Outbox::hurry, Outbox::seal);
        for end in [hurry, seal] {
            let outbox = Outbox::default();
            push(&outbox, "users", 1, 60);
            outbox.confirm(outbox.take().unwrap().ticket);
            tokio::time::advance(Duration::from_secs(20)).await;
            end(&outbox);
            assert_eq!((outbox.depth().keys, outbox.depth().repeats), (1, 0));
            let holds: Vec<_> = outbox.take().unwrap().caches[&name("users")].holds().collect();
            assert!(holds[0] >= Duration::from_secs(40) && holds[0] < Duration::from_secs(41), "{holds:?}");
        }
    }

    #[test]
    fn what_waits_counts_once_until_it_is_confirmed() {
        let outbox = Outbox::default();
        (0..1_000).for_each(|_| _ = push(&outbox, "users", 1, 0));
        outbox.push_tags(&name("users"), &[Tag::new("team")], Duration::ZERO);
        outbox.push_all(&name("rates"), Duration::ZERO);
        let once = OutboxDepth { keys: 1, tags: 1, whole_caches: 1, bytes: 5, repeats: 0 };
        assert_eq!(outbox.depth(), once);
        let batch = outbox.take().unwrap();
        assert_eq!(outbox.depth(), once, "sent and not confirmed");
        push(&outbox, "users", 2, 0);
        assert_eq!(outbox.left().to_string(), "all of `rates`, 2 keys and 1 tag of `users`");
        outbox.confirm(batch.ticket);
        assert_eq!(outbox.left().to_string(), "1 key of `users`");
        assert_eq!(outbox.depth().len(), 1);
    }

    #[test]
    fn what_collapses_again_and_again_is_counted() {
        let outbox = Outbox::default();
        for round in 0..3u64 {
            let tags: Vec<_> = (0..=MAX_KEYS).map(|tag| Tag::new(&tag)).collect();
            outbox.push_tags(&name("users"), &tags, Duration::ZERO);
            assert_eq!(outbox.overflows(), round + 1);
            outbox.confirm(outbox.take().unwrap().ticket);
        }
    }
}
