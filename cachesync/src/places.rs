//! Where things are in a list, by their hash: what a hash table of them is without them.
//!
//! A table of a generic type is compiled once for each, which is most of what it is to use one. This is compiled once: the things are
//! in a `Vec` of whoever has them, and compared there.
//!
//! Invariant, kept by that: for each thing there is one place, that of its index, under its hash.

use hashbrown::HashTable;

#[derive(Default)]
pub(crate) struct Places(HashTable<Place>);

#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    index: usize,
}

impl Places {
    pub(crate) const fn new() -> Self {
        Self(HashTable::new())
    }

    /// The thing at `index`, which is none yet, has this hash.
    pub(crate) fn insert(&mut self, hash: u64, index: usize) {
        self.0.insert_unique(hash, Place { hash, index }, |place| place.hash);
    }

    /// The index of a thing of this hash of which `is_it` is true.
    pub(crate) fn find(&self, hash: u64, is_it: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        self.0.find(hash, |place| place.hash == hash && is_it(place.index)).map(|place| place.index)
    }

    /// The same of a thing that is about to be taken out by `swap_remove`: the last, which has `last_hash`, takes its place.
    pub(crate) fn swap_remove(&mut self, hash: u64, index: usize, last_hash: u64, last: usize) {
        if let Ok(place) = self.0.find_entry(hash, |place| place.index == index) {
            place.remove();
        }
        if last != index
            && let Some(place) = self.0.find_mut(last_hash, |place| place.index == last)
        {
            place.index = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_is_there_also_after_others_were_taken_out() {
        let (mut places, mut things) = (Places::new(), Vec::new());
        let find = |places: &Places, things: &[u64], thing: u64| places.find(thing % 7, &mut |at| things[at] == thing);
        for thing in 0..100u64 {
            places.insert(thing % 7, things.len());
            things.push(thing);
        }
        for thing in (0..100u64).step_by(3) {
            let at = find(&places, &things, thing).expect("it is there");
            places.swap_remove(thing % 7, at, things[things.len() - 1] % 7, things.len() - 1);
            things.swap_remove(at);
        }
        for thing in 0..100u64 {
            let at = find(&places, &things, thing);
            assert_eq!(at.map(|at| things[at]), (thing % 3 != 0).then_some(thing));
        }
        assert_eq!(places.0.len(), things.len());
    }
}
