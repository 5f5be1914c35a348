//! The outbox: evictions that wait to be broadcast.
//!
//! Invariants (rule R7):
//! - what was pushed is either here, or in the batch that the engine holds, or confirmed;
//! - it is bounded: keys and tags of one cache are coalesced, and when there are too many, those of the largest cache
//!   collapse to "all of this cache". Nothing is dropped, an eviction can only grow;
//! - tickets rise with every push, and a batch carries the highest ticket it contains, so "confirmed up to" is one
//!   number;
//! - an eviction with a hold is sent a second time, without, when the hold is over. Its outcome was unknown; a node that
//!   opened a session in between has cleared, and knows of no hold: it may have kept what was true until the database
//!   committed after all.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::Hash,
    sync::PoisonError,
    time::Duration,
};

use cachesync_core::{Name, frame::EncodedKey, shape::KeyShape};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    cache::tags::Tag,
    mutation::Mutation,
    sync::{Mutex, MutexGuard, Notify},
};

/// The most keys and tags that wait, over all caches.
/// Where the rules are broken on purpose, and under the model checker, few, so that it comes to that.
const MAX_KEYS: usize = if cfg!(any(cachesync_mutations, all(test, cachesync_shuttle))) { 4 } else { 100_000 };
/// The ticket of a push that came too late: it will never be confirmed.
pub(crate) const NEVER: u64 = u64::MAX;
/// The most bytes of keys and tags that wait, over all caches.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Echoes that are due within this time go out together, so that their number is bounded.
const ECHO_GRAIN: Duration = Duration::from_millis(250);

pub(crate) struct Outbox {
    state: Mutex<State>,
    pushed: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct State {
    now: Waiting,
    /// What is to be sent again, and when.
    echoes: BTreeMap<Instant, Waiting>,
    /// Of the last push.
    ticket: u64,
    /// Nobody will send any more.
    sealed: bool,
}

/// What goes out together. Bounded.
#[derive(Default)]
struct Waiting {
    caches: BTreeMap<Name, Pending>,
    /// How many keys and tags.
    size: usize,
    /// Of these.
    bytes: usize,
}

/// What waits for one cache.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) shape: Option<KeyShape>,
    /// With the longest hold that was asked for.
    pub(crate) keys: HashMap<EncodedKey, Duration>,
    /// With the longest hold that was asked for.
    pub(crate) tags: HashMap<Tag, Duration>,
    /// Everything, with this hold; there are no keys and no tags then.
    pub(crate) all: Option<Duration>,
    bytes: usize,
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

impl Default for Outbox {
    fn default() -> Self {
        Self { state: Mutex::default(), pushed: Notify::new(), progress: watch::Sender::new(Progress::default()) }
    }
}

impl Outbox {
    pub(crate) fn push_key(&self, cache: &Name, shape: &KeyShape, key: EncodedKey, hold: Duration) -> u64 {
        self.push(hold, |waiting, hold| waiting.add_key(cache, shape, key.clone(), hold))
    }

    pub(crate) fn push_tags(&self, cache: &Name, tags: &[Tag], hold: Duration) -> u64 {
        self.push(hold, |waiting, hold| tags.iter().for_each(|tag| waiting.add_tag(cache, tag.clone(), hold)))
    }

    pub(crate) fn push_all(&self, cache: &Name, hold: Duration) -> u64 {
        self.push(hold, |waiting, hold| waiting.add_all(cache, hold))
    }

    fn push(&self, hold: Duration, add: impl Fn(&mut Waiting, Duration)) -> u64 {
        let ticket = {
            let mut state = self.state();
            if state.sealed {
                return NEVER;
            }
            add(&mut state.now, hold);
            state.now.bound();
            if !hold.is_zero() && !Mutation::DoNotRepeatAfterTheHold.is_on() {
                let echo = state.echo(Instant::now() + hold);
                add(echo, Duration::ZERO);
                echo.bound();
            }
            state.ticket += 1;
            state.ticket
        };
        self.pushed.notify_one();
        ticket
    }

    /// Takes everything that waits; `None` if nothing does.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        state.release_echoes();
        let Waiting { caches, .. } = std::mem::take(&mut state.now);
        (!caches.is_empty()).then_some(Batch { caches, ticket: state.ticket })
    }

    /// Takes no more pushes; what waits can still be taken.
    pub(crate) fn seal(&self) {
        self.state().sealed = true;
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
            if !state.now.caches.is_empty() {
                return;
            }
            state.echoes.first_key_value().map(|(due, _)| *due)
        };
        let Some(due) = echo else { return self.pushed.notified().await };
        tokio::select! {
            biased;
            () = self.pushed.notified() => {}
            () = sleep_until(due) => {}
        }
    }

    /// States that every push up to `ticket` has been confirmed.
    pub(crate) fn confirm(&self, ticket: u64) {
        self.progress.send_modify(|progress| progress.confirmed = progress.confirmed.max(ticket));
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
        state.release_echoes();
        state.ticket
    }

    /// How many pushes are not confirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        let last = self.last_ticket();
        usize::try_from(last.saturating_sub(self.progress.borrow().confirmed)).unwrap_or(usize::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is to be sent again at `due`, or a little later.
    fn echo(&mut self, due: Instant) -> &mut Waiting {
        let near = self.echoes.range(due..due + ECHO_GRAIN).next().map(|(near, _)| *near);
        self.echoes.entry(near.unwrap_or(due + ECHO_GRAIN)).or_default()
    }

    /// Lets those echoes wait to be sent that are due.
    fn release_echoes(&mut self) {
        if self.echoes.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = self.echoes.first_entry()
            && *first.key() <= now
        {
            let Waiting { caches, .. } = first.remove();
            for (cache, Pending { shape, keys, tags, all, .. }) in caches {
                if all.is_some() {
                    self.now.add_all(&cache, Duration::ZERO);
                }
                let shape = shape.unwrap_or(KeyShape::NONE);
                for key in keys.into_keys() {
                    self.now.add_key(&cache, &shape, key, Duration::ZERO);
                }
                for tag in tags.into_keys() {
                    self.now.add_tag(&cache, tag, Duration::ZERO);
                }
            }
            self.now.bound();
            self.ticket += 1;
        }
    }
}

impl Waiting {
    fn add_key(&mut self, cache: &Name, shape: &KeyShape, key: EncodedKey, hold: Duration) {
        let bytes = key.0.len();
        self.add(cache, hold, |pending| {
            pending.shape.get_or_insert_with(|| shape.clone());
            coalesce(&mut pending.keys, key, hold).then_some(bytes)
        });
    }

    fn add_tag(&mut self, cache: &Name, tag: Tag, hold: Duration) {
        let bytes = tag.as_str().len();
        self.add(cache, hold, |pending| coalesce(&mut pending.tags, tag, hold).then_some(bytes));
    }

    fn add_all(&mut self, cache: &Name, hold: Duration) {
        self.caches.entry(cache.clone()).or_default();
        self.collapse(cache, hold);
    }

    /// Collapses the largest caches until what is left is not too much.
    fn bound(&mut self) {
        while self.size > MAX_KEYS || self.bytes > MAX_BYTES {
            let size = |pending: &Pending| (pending.bytes, pending.len());
            let Some(largest) = self.caches.iter().max_by_key(|(_, pending)| size(pending)) else { break };
            let largest = largest.0.clone();
            tracing::warn!(cache = %largest, "too many evictions wait for the broker: evicting all of the cache");
            self.collapse(&largest, Duration::ZERO);
            if Mutation::DropOnOverflow.is_on() {
                self.caches.remove(&largest);
            }
        }
    }

    /// Adds to what waits for `cache`, unless that is all; `add` tells the bytes of what is new.
    fn add(&mut self, cache: &Name, hold: Duration, add: impl FnOnce(&mut Pending) -> Option<usize>) {
        let pending = self.caches.entry(cache.clone()).or_default();
        if let Some(all) = &mut pending.all {
            *all = (*all).max(hold);
        } else if let Some(bytes) = add(pending) {
            pending.bytes += bytes;
            self.size += 1;
            self.bytes += bytes;
        }
    }

    /// Turns what waits for `cache` into "all", with the longest hold of any.
    fn collapse(&mut self, cache: &Name, hold: Duration) {
        if let Some(pending) = self.caches.get_mut(cache) {
            self.size -= pending.len();
            self.bytes -= pending.bytes;
            let holds = pending.keys.values().chain(pending.tags.values()).copied().chain(pending.all);
            *pending = Pending { all: Some(holds.fold(hold, Duration::max)), ..Pending::default() };
        }
    }
}

impl Pending {
    fn len(&self) -> usize {
        self.keys.len() + self.tags.len()
    }
}

/// Lets it wait once, with the longest hold that was asked for; tells whether it is new.
fn coalesce<T: Eq + Hash>(waiting: &mut HashMap<T, Duration>, what: T, hold: Duration) -> bool {
    match waiting.entry(what) {
        Entry::Occupied(mut known) => {
            let longest = (*known.get()).max(hold);
            known.insert(longest);
            false
        }
        Entry::Vacant(place) => {
            place.insert(hold);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::codec;

    use super::*;

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
        let holds: Vec<_> = batch.caches[&name("users")].keys.values().copied().collect();
        assert_eq!(holds, [Duration::from_secs(5)]);
        assert_eq!(batch.ticket, 3);
        assert!(outbox.take().is_none());
    }

    #[test]
    fn all_swallows_keys_before_and_after_it() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 3);
        outbox.push_all(&name("users"), Duration::ZERO);
        push(&outbox, "users", 2, 4);
        let batch = outbox.take().unwrap();
        let pending = &batch.caches[&name("users")];
        assert!(pending.keys.is_empty());
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
        let hold = |tag| pending.tags.get(&Tag::new(tag)).copied();
        assert_eq!((hold("a"), hold("b")), (Some(Duration::from_secs(5)), Some(Duration::ZERO)));
        assert_eq!((pending.tags.len(), pending.keys.len(), pending.all), (2, 1, None));
    }

    #[test]
    fn all_swallows_tags_before_and_after_it() {
        let outbox = Outbox::default();
        outbox.push_tags(&name("users"), &[Tag::new("a")], Duration::from_secs(3));
        outbox.push_all(&name("users"), Duration::ZERO);
        outbox.push_tags(&name("users"), &[Tag::new("b")], Duration::from_secs(2));
        let batch = outbox.take().unwrap();
        let pending = &batch.caches[&name("users")];
        assert_eq!((pending.len(), pending.all), (0, Some(Duration::from_secs(3))));
    }

    #[test]
    fn too_many_tags_collapse_their_cache_with_the_longest_hold() {
        let outbox = Outbox::default();
        push(&outbox, "small", 1, 0);
        outbox.push_tags(&name("large"), &[Tag::new("held")], Duration::from_secs(7));
        let tags: Vec<_> = (0..MAX_KEYS).map(|tag| Tag::new(&tag)).collect();
        outbox.push_tags(&name("large"), &tags, Duration::ZERO);
        let batch = outbox.take().unwrap();
        assert_eq!(batch.caches[&name("large")].all, Some(Duration::from_secs(7)));
        assert_eq!(batch.caches[&name("small")].keys.len(), 1);
    }

    #[test]
    fn long_tags_count_by_their_bytes_together_with_the_keys() {
        let outbox = Outbox::default();
        for tag in 0..=MAX_BYTES / 1000 {
            outbox.push_tags(&name("users"), &[Tag::new(&format!("{tag:1000}"))], Duration::ZERO);
        }
        assert_eq!(outbox.take().unwrap().caches[&name("users")].all, Some(Duration::ZERO));
    }

    #[test]
    fn too_many_keys_collapse_the_largest_cache_and_spare_the_others() {
        let outbox = Outbox::default();
        push(&outbox, "small", 1, 0);
        for key in 0..=MAX_KEYS as u64 {
            push(&outbox, "large", key, 0);
        }
        let batch = outbox.take().unwrap();
        assert_eq!(batch.caches[&name("large")].all, Some(Duration::ZERO));
        assert_eq!(batch.caches[&name("small")].keys.len(), 1);
    }

    #[tokio::test]
    async fn a_confirmation_reaches_those_before_it_and_closing_reaches_the_rest() {
        let outbox = Outbox::default();
        let first = push(&outbox, "users", 1, 0);
        let second = push(&outbox, "users", 2, 0);
        outbox.confirm(first);
        outbox.confirmed(first).await.unwrap();
        assert_eq!(outbox.unconfirmed(), 1);
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
        assert_eq!(batch.caches[&name("users")].len(), 3);
        outbox.confirm(batch.ticket);
        assert_eq!(outbox.unconfirmed(), 0, "an echo waits only when it is due");

        tokio::time::advance(Duration::from_secs(6)).await;
        let echo = outbox.take().unwrap();
        let pending = &echo.caches[&name("users")];
        assert_eq!((pending.keys.len(), pending.tags.len()), (1, 1));
        assert!(pending.keys.values().chain(pending.tags.values()).all(Duration::is_zero));
        assert!(echo.ticket > batch.ticket);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(outbox.unconfirmed(), 2);
        assert_eq!(outbox.take().unwrap().caches[&name("rates")].all, Some(Duration::ZERO));
        assert!(outbox.take().is_none());
    }

    #[tokio::test]
    async fn what_was_pushed_before_waiting_is_not_waited_for() {
        let outbox = Outbox::default();
        push(&outbox, "users", 1, 0);
        outbox.pushed().await;
    }
}
