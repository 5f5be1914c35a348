//! The eviction of many keys, as a commit or another node asks for.
//!
//! Keys of one stripe are evicted in one critical section, under one number. The argument at the head of
//! [`store`](super::store) is about each key and the stripe that it is in, and none of it minds what else is done there
//! before the mutex is released: every ticket of the key is thrown away and its entry removed under the mutex, by an eviction
//! whose number was taken under it. Between two stripes there is no order, and no rule asks for one; all of it is done when
//! this returns.

use std::{hash::BuildHasher, mem, time::Duration};

use cachesync_core::codec;

use super::{
    leftovers::Leftovers,
    store::{STRIPES, Store, lock, stripe_of},
};
use crate::key::{Key, Value};

/// How many keys are evicted together: as many as a frame names, so that what is sent while others are still being queued is
/// whole frames. No mutex is held for longer, and no more values wait to be dropped.
pub(crate) const AT_ONCE: usize = codec::MAX_KEYS;

impl<K: Key, V: Value> Store<K, V> {
    /// Evicts these keys: nothing of them that was loaded before this is left when it returns.
    pub(crate) fn evict_many(&self, keys: &[K], hold: Duration) {
        match keys {
            [key] => self.evict(key, hold),
            keys => {
                for some in keys.chunks(AT_ONCE) {
                    self.evict_together(some, hold);
                }
            }
        }
    }

    fn evict_together(&self, keys: &[K], hold: Duration) {
        // Loops, here and below, and no chains of iterators, each of which would be compiled for each cache.
        let mut hashes = Vec::with_capacity(keys.len());
        for key in keys {
            hashes.push(self.hasher.hash_one(key));
        }
        let by_stripe = ByStripe::new(&hashes);
        // Dropped when no lock is held, also if a key panics.
        let (mut removed, mut overtaken) = (Leftovers(Vec::with_capacity(keys.len())), Leftovers(Vec::new()));
        for (index, mutex) in self.stripes.iter().enumerate() {
            let places = by_stripe.places(index);
            if places.is_empty() {
                continue;
            }
            let mut stripe = lock(mutex);
            let number = self.info.next_eviction();
            for place in places {
                let (hash, key) = (hashes[*place], &keys[*place]);
                stripe.marks.mark(hash, number);
                overtaken.0.extend(stripe.overtake(hash, key));
                removed.0.push(self.take(key));
                if !hold.is_zero() {
                    self.hold(&mut stripe, hash, key, hold);
                }
            }
        }
    }
}

/// Places in a list of keys, by the stripe of what is there, and within one in their order.
struct ByStripe {
    places: Vec<usize>,
    /// Where the places of each stripe end.
    ends: [usize; STRIPES],
}

impl ByStripe {
    fn new(hashes: &[u64]) -> Self {
        let mut ends = [0; STRIPES];
        for hash in hashes {
            ends[stripe_of(*hash)] += 1;
        }
        let mut before = 0;
        for end in &mut ends {
            // For now where they begin.
            before += mem::replace(end, before);
        }
        let mut places = vec![0; hashes.len()];
        for (place, hash) in hashes.iter().enumerate() {
            let end = &mut ends[stripe_of(*hash)];
            places[*end] = place;
            *end += 1;
        }
        Self { places, ends }
    }

    /// Those of the stripe with this index.
    fn places(&self, stripe: usize) -> &[usize] {
        let start = if stripe == 0 { 0 } else { self.ends[stripe - 1] };
        &self.places[start..self.ends[stripe]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_its_stripe_and_in_order_there() {
        for len in [0, 1, 2, 63, 1_000u64] {
            let hashes: Vec<u64> = (0..len).map(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
            let by_stripe = ByStripe::new(&hashes);
            let stripes: Vec<&[usize]> = (0..STRIPES).map(|stripe| by_stripe.places(stripe)).collect();
            for (stripe, places) in stripes.iter().enumerate() {
                assert!(places.iter().all(|place| stripe_of(hashes[*place]) == stripe) && places.is_sorted());
            }
            assert_eq!(stripes.iter().map(|places| places.len()).sum::<usize>() as u64, len);
        }
    }
}
