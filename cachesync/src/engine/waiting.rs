//! Evictions that go out together: coalesced, and bounded.
//!
//! Invariants: a cache waits for keys and tags, or for all, never for both; of what waits too much the largest cache's
//! becomes "all of this cache". Nothing is dropped, an eviction can only grow.

use std::{collections::BTreeMap, time::Duration};

use cachesync_core::{Name, frame::EncodedKey, shape::KeyShape};

use super::{depth::OutboxDepth, ordered::Ordered};
use crate::{cache::tags::Tag, mutation::Mutation};

/// The most keys and tags that wait, over all caches.
/// Where the rules are broken on purpose, and under the model checker, few, so that it comes to that. Not so in real
/// processes (`cargo xtask chaos --mutation`): there it would come to that all the time, and what is "all" mends what is broken.
pub(super) const MAX_KEYS: usize =
    if cfg!(any(all(cachesync_mutations, not(cachesync_real_bounds)), all(test, cachesync_shuttle))) {
        4
    } else {
        100_000
    };
/// The most bytes of keys and tags that wait, over all caches.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What goes out together.
#[derive(Default)]
pub(super) struct Waiting {
    caches: BTreeMap<Name, Pending>,
    depth: OutboxDepth,
}

/// What waits for one cache.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) shape: Option<KeyShape>,
    pub(crate) keys: Ordered<EncodedKey>,
    pub(crate) tags: Ordered<Tag>,
    /// Everything, with this hold; there are no keys and no tags then.
    pub(crate) all: Option<Duration>,
    bytes: usize,
}

/// Whether so much is too much.
pub(super) fn is_too_much(depth: OutboxDepth) -> bool {
    depth.keys + depth.tags > MAX_KEYS || depth.bytes > MAX_BYTES
}

/// The largest of several caches.
pub(super) fn largest<'a>(caches: impl Iterator<Item = (&'a Name, OutboxDepth)>) -> Option<Name> {
    let largest = caches.max_by_key(|(_, depth)| (depth.bytes, depth.keys + depth.tags));
    largest.map(|(name, _)| name.clone())
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.caches.is_empty()
    }

    /// How much it is.
    pub(super) fn depth(&self) -> OutboxDepth {
        self.depth
    }

    /// How much of which cache.
    pub(super) fn by_cache(&self) -> impl Iterator<Item = (&Name, OutboxDepth)> {
        self.caches.iter().map(|(name, pending)| (name, pending.depth()))
    }

    pub(super) fn into_caches(self) -> BTreeMap<Name, Pending> {
        self.caches
    }

    pub(super) fn add_keys(
        &mut self,
        cache: &Name,
        shape: &KeyShape,
        keys: impl IntoIterator<Item = EncodedKey>,
        hold: Duration,
    ) {
        self.add(cache, hold, |pending| {
            pending.shape.get_or_insert_with(|| shape.clone());
            let mut new = OutboxDepth::default();
            for key in keys {
                let bytes = key.len();
                if pending.keys.add(key, hold) {
                    new.keys += 1;
                    new.bytes += bytes;
                }
            }
            new
        });
    }

    pub(super) fn add_tag(&mut self, cache: &Name, tag: Tag, hold: Duration) {
        let bytes = tag.as_str().len();
        self.add(cache, hold, |pending| {
            let is_new = pending.tags.add(tag, hold);
            if is_new { OutboxDepth { tags: 1, bytes, ..OutboxDepth::default() } } else { OutboxDepth::default() }
        });
    }

    pub(super) fn add_all(&mut self, cache: &Name, hold: Duration) {
        self.caches.entry(cache.clone()).or_default();
        self.collapse(cache, hold);
    }

    /// Adds what waited elsewhere, with this hold.
    pub(super) fn absorb(&mut self, other: Self, hold: Duration) {
        for (cache, Pending { shape, keys, tags, all, .. }) in other.caches {
            if all.is_some() {
                self.add_all(&cache, hold);
            }
            let shape = shape.unwrap_or(KeyShape::NONE);
            if keys.len() > 0 {
                self.add_keys(&cache, &shape, keys.into_iter().map(|(key, _)| key), hold);
            }
            for (tag, _) in tags {
                self.add_tag(&cache, tag, hold);
            }
        }
    }

    /// Collapses the largest caches until what is left is not too much; returns which.
    #[must_use = "say so when no lock is held"]
    pub(super) fn bound(&mut self) -> Vec<Name> {
        let mut collapsed = Vec::new();
        while is_too_much(self.depth) {
            let Some(largest) = largest(self.by_cache()) else { break };
            self.collapse(&largest, Duration::ZERO);
            if Mutation::DropOnOverflow.is_on() {
                self.caches.remove(&largest);
                self.depth.whole_caches -= 1;
            }
            collapsed.push(largest);
        }
        collapsed
    }

    /// Turns what waits for `cache`, if anything does, into "all", with the longest hold of any.
    pub(super) fn collapse(&mut self, cache: &Name, hold: Duration) {
        if let Some(pending) = self.caches.get_mut(cache) {
            self.depth -= pending.depth();
            let all = pending.holds().chain(pending.all).fold(hold, Duration::max);
            *pending = Pending { all: Some(all), ..Pending::default() };
            self.depth += pending.depth();
        }
    }

    /// Adds to what waits for `cache`, unless that is all; `add` tells how much is new.
    fn add(&mut self, cache: &Name, hold: Duration, add: impl FnOnce(&mut Pending) -> OutboxDepth) {
        // Looked up first: the name is cloned once for all of its keys.
        let pending = match self.caches.get_mut(cache) {
            Some(pending) => pending,
            None => self.caches.entry(cache.clone()).or_default(),
        };
        if let Some(all) = &mut pending.all {
            *all = (*all).max(hold);
        } else {
            let new = add(pending);
            pending.bytes += new.bytes;
            self.depth += new;
        }
    }
}

impl Pending {
    pub(super) fn depth(&self) -> OutboxDepth {
        OutboxDepth {
            keys: self.keys.len(),
            tags: self.tags.len(),
            whole_caches: self.all.is_some().into(),
            bytes: self.bytes,
            repeats: 0,
        }
    }

    /// The hold of each key and tag.
    pub(super) fn holds(&self) -> impl Iterator<Item = Duration> {
        self.keys.holds().chain(self.tags.holds())
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::codec;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn add_key(waiting: &mut Waiting, cache: &str, key: u64) {
        let key = codec::encode_key(&key).unwrap();
        waiting.add_keys(&name(cache), &KeyShape::of::<u64>(), [key], Duration::ZERO);
    }

    #[test]
    fn too_many_keys_collapse_the_largest_cache_and_spare_the_others() {
        let mut waiting = Waiting::default();
        add_key(&mut waiting, "small", 1);
        (1..MAX_KEYS as u64).for_each(|key| add_key(&mut waiting, "large", key));
        assert_eq!(waiting.bound(), []);
        add_key(&mut waiting, "large", 0);
        assert_eq!(waiting.bound(), [name("large")]);
        let once = OutboxDepth { keys: 1, whole_caches: 1, bytes: 1, ..OutboxDepth::default() };
        assert_eq!(waiting.depth(), once);
        let caches = waiting.into_caches();
        assert_eq!((caches[&name("large")].all, caches[&name("small")].keys.len()), (Some(Duration::ZERO), 1));
    }

    #[test]
    fn too_many_tags_collapse_their_cache_with_the_longest_hold() {
        let mut waiting = Waiting::default();
        waiting.add_tag(&name("large"), Tag::new("held"), Duration::from_secs(7));
        (0..MAX_KEYS).for_each(|tag| waiting.add_tag(&name("large"), Tag::new(&tag), Duration::ZERO));
        assert_eq!(waiting.bound(), [name("large")]);
        assert_eq!(waiting.into_caches()[&name("large")].all, Some(Duration::from_secs(7)));
    }

    #[test]
    fn long_tags_count_by_their_bytes_together_with_the_keys() {
        let mut waiting = Waiting::default();
        add_key(&mut waiting, "users", 1);
        for tag in 0..=MAX_BYTES / 1000 {
            waiting.add_tag(&name("users"), Tag::new(&format!("{tag:1000}")), Duration::ZERO);
        }
        assert_eq!(waiting.bound(), [name("users")]);
        assert_eq!((waiting.depth().len(), waiting.depth().bytes), (1, 0));
    }

    #[test]
    fn what_waited_elsewhere_is_taken_over_with_the_hold_that_is_left() {
        let [mut here, mut there] = [Waiting::default(), Waiting::default()];
        add_key(&mut here, "users", 1);
        add_key(&mut here, "teams", 1);
        add_key(&mut there, "users", 1);
        there.add_tag(&name("users"), Tag::new("a"), Duration::ZERO);
        there.add_all(&name("teams"), Duration::ZERO);
        let left = Duration::from_secs(3);
        here.absorb(there, left);
        let once = OutboxDepth { keys: 1, tags: 1, whole_caches: 1, bytes: 2, ..OutboxDepth::default() };
        assert_eq!(here.depth(), once);
        let caches = here.into_caches();
        let users = &caches[&name("users")];
        assert!(users.holds().all(|hold| hold == left));
        assert_eq!(caches[&name("teams")].all, Some(left));
    }
}
