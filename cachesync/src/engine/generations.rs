//! A memory of what others send, which is bounded, since whoever sends comes and goes.
//!
//! Two maps: what is asked for is in the younger one, or moves there. When that is full it becomes the older one, and what
//! was in that is forgotten. So each key costs one look or two, and no clock and no list is kept.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    mem,
};

/// What was heard by key. So many keys are known that were heard last, and at most as many more; those that were not heard for
/// longer are forgotten.
pub(super) struct Generations<K, V, const RECENT: usize = 10_000> {
    recent: HashMap<K, V>,
    /// What was heard before `recent` was begun and not since. When that is full it takes this place, and what is here is
    /// forgotten.
    before: HashMap<K, V>,
}

impl<K, V, const RECENT: usize> Default for Generations<K, V, RECENT> {
    fn default() -> Self {
        Self { recent: HashMap::new(), before: HashMap::new() }
    }
}

impl<K: Eq + Hash, V, const RECENT: usize> Generations<K, V, RECENT> {
    /// What was heard of `key`, which is `first` if nothing is known.
    pub(super) fn entry(&mut self, key: K, first: V) -> &mut V {
        if self.recent.len() >= RECENT {
            self.before = mem::take(&mut self.recent);
        }
        match self.recent.entry(key) {
            Entry::Occupied(heard) => heard.into_mut(),
            Entry::Vacant(place) => {
                let heard = self.before.remove(place.key()).unwrap_or(first);
                place.insert(heard)
            }
        }
    }

    /// What was heard of `key`, if anything is known.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.recent.get(key).or_else(|| self.before.get(key))
    }

    /// How many keys are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.before.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_recent_is_in_it() {
        let mut heard = Generations::<_, _, 10>::default();
        for number in 0..1_000u32 {
            assert_eq!(heard.get(&number), None);
            *heard.entry(number, 0) += number;
            for recent in number.saturating_sub(9)..=number {
                assert_eq!(heard.get(&recent), Some(&recent));
            }
            assert!(heard.len() <= 20);
        }
    }
}
