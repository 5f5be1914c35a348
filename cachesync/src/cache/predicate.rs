//! Evictions by predicate.
//!
//! # Why no key that is meant is left behind
//!
//! The predicate is code of the user's that may use the cache, so it runs under no lock, on copies of the keys. They are all
//! of those that matter. A load that began before holds a ticket until it stores: either its key is among the tickets of its
//! stripe when these are copied, or it has stored before that, and its key is among the entries, which are copied after all
//! stripes; what has left until then is not left behind. A put without a ticket either stored before its stripe's turn, too,
//! or finds that everything was evicted meanwhile, and stores nothing. Then each key that was chosen is evicted as any other,
//! which overtakes what is still in flight.
//!
//! Should the predicate panic, or a key over its `Hash`, what was meant cannot be known: everything is evicted.

use std::{collections::HashSet, mem, time::Duration};

use super::{
    leftovers::discard,
    store::{Store, lock},
};
use crate::key::{Key, Value};

impl<K: Key, V: Value> Store<K, V> {
    /// Evicts every key of which `predicate` is true; should it panic, every key. Returns how many were chosen.
    pub(crate) fn evict_if(&self, mut predicate: impl FnMut(&K) -> bool) -> usize {
        let otherwise = EvictAll(self);
        let mut keys = HashSet::with_hasher(self.hasher.clone());
        for stripe in &self.stripes {
            let mut stripe = lock(stripe);
            stripe.marks.mark_all(self.info.next_eviction());
            let in_flight: Vec<K> = stripe.keys_in_flight().cloned().collect();
            drop(stripe);
            // A key of which there are several tickets is dropped here.
            keys.extend(in_flight);
        }
        // It promises what is needed: it yields all that is there from its beginning to its end.
        for (key, stored) in self.entries.iter() {
            discard(stored);
            keys.insert(key);
        }
        let mut chosen = 0;
        for key in &keys {
            if predicate(key) {
                self.evict(key, Duration::ZERO);
                chosen += 1;
            }
        }
        mem::forget(otherwise);
        discard(keys);
        chosen
    }
}

/// Evicts everything when dropped.
struct EvictAll<'a, K: Key, V: Value>(&'a Store<K, V>);

impl<K: Key, V: Value> Drop for EvictAll<'_, K, V> {
    fn drop(&mut self) {
        self.0.evict_all(Duration::ZERO);
    }
}
