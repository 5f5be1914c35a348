//! What waits, each of it once, in the order in which it came first.
//!
//! The order is for who receives it: what was evicted together was often loaded one after the other, and then lies side by
//! side in the memory of a cache, so that removing it in that order misses the processor's caches less often.

use std::{
    hash::{BuildHasher, Hash},
    time::Duration,
};

use hashbrown::HashTable;

use crate::sync::DefaultHashBuilder;

/// Keys, or tags, each with the longest hold that was asked for.
pub(crate) struct Ordered<T> {
    entries: Vec<(T, Duration)>,
    /// Where each of them is.
    places: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T: Eq + Hash> Ordered<T> {
    /// Lets it wait once, with the longest hold that was asked for; tells whether it is new.
    pub(super) fn add(&mut self, what: T, hold: Duration) -> bool {
        let Self { entries, places, hasher } = self;
        let hash = hasher.hash_one(&what);
        if let Some(place) = places.find(hash, |place| entries[*place].0 == what) {
            let known = &mut entries[*place].1;
            *known = hold.max(*known);
            return false;
        }
        places.insert_unique(hash, entries.len(), |place| hasher.hash_one(&entries[*place].0));
        entries.push((what, hold));
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn holds(&self) -> impl Iterator<Item = Duration> {
        self.entries.iter().map(|(_, hold)| *hold)
    }
}

impl<T> IntoIterator for Ordered<T> {
    type Item = (T, Duration);
    type IntoIter = std::vec::IntoIter<(T, Duration)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_keeps_its_place_and_its_longest_hold() {
        let mut waiting = Ordered::default();
        let seconds = Duration::from_secs;
        let asked = [(3, 0), (1, 2), (3, 5), (2, 0), (1, 1)];
        let new = asked.map(|(what, hold)| waiting.add(what, seconds(hold)));
        assert_eq!((new, waiting.len()), ([true, true, false, true, false], 3));
        assert_eq!(Vec::from_iter(waiting), [(3, seconds(5)), (1, seconds(2)), (2, seconds(0))]);
    }

    #[test]
    fn many_are_found_again() {
        let mut waiting = Ordered::default();
        assert!((0..10_000u64).all(|what| waiting.add(what, Duration::ZERO)));
        assert!((0..10_000u64).all(|what| !waiting.add(what, Duration::ZERO)));
        assert!(waiting.into_iter().map(|(what, _)| what).eq(0..10_000));
    }
}
