//! The eviction of a key, of all, and by tag: why nothing that was loaded before is left is said at the head of
//! [`store`](super::store).

use std::{hash::BuildHasher, time::Duration};

use super::{
    leftovers::{discard, survived},
    store::{Store, lock},
    stripe::Stripe,
    tags::Tag,
};
use crate::{
    key::{Key, Value},
    mutation::Mutation,
};

impl<K: Key, V: Value> Store<K, V> {
    /// Evicts a key: nothing that was loaded before this is left when it returns.
    pub(crate) fn evict(&self, key: &K, hold: Duration) {
        let hash = self.hasher.hash_one(key);
        let mut stripe = self.stripe(hash);
        stripe.marks.mark(hash, self.info.next_eviction());
        let overtaken = stripe.overtake(hash, key);
        let removed = self.take(key);
        if !hold.is_zero() {
            self.hold(&mut stripe, hash, key, hold);
        }
        drop(stripe);
        discard(overtaken);
        discard(removed);
    }

    /// Lets no load of this key be kept for so long.
    pub(super) fn hold(&self, stripe: &mut Stripe<K, V>, hash: u64, key: &K, hold: Duration) {
        let now = self.info.clock.now();
        let until = now.after(hold);
        if !stripe.holds.hold(hash, key, until, now) {
            // So many keys are held that all may as well be.
            self.info.hold_all(until);
        }
    }

    /// Evicts every key.
    pub(crate) fn evict_all(&self, hold: Duration) {
        if !hold.is_zero() {
            self.info.hold_all(self.info.clock.now().after(hold));
        }
        for stripe in &self.stripes {
            let mut stripe = lock(stripe);
            stripe.marks.mark_all(self.info.next_eviction());
            let overtaken = stripe.overtake_all();
            drop(stripe);
            discard(overtaken);
        }
        // Not `clear`: it drops the values under the shard's lock.
        if !survived(&mut || self.entries.drain().for_each(|left| self.dismiss(left))) {
            self.info.report("a key that left a cache panicked in its `Hash`");
            // It hashes nothing, so it is all that is left to do. Of a shard where it panics over a `Drop` nothing is left, so
            // it gets further each time.
            while !survived(&mut || self.entries.clear()) {}
        }
    }

    /// Evicts every entry that carries one of these tags.
    pub(crate) fn evict_tags(&self, tags: &[Tag], hold: Duration) {
        if !hold.is_zero() {
            self.info.hold_tagged(self.info.clock.now().after(hold));
        }
        for tag in tags {
            let number = self.info.next_eviction();
            let keys = self.index().evict(tag, number);
            for key in &keys {
                if let Some(key) = key.downcast_ref() {
                    self.evict(key, Duration::ZERO);
                }
            }
            discard(keys);
        }
        // Which tags the loads in flight will carry is not known: whoever comes now does not join them.
        if !Mutation::DoNotDetachTaggedLoads.is_on() {
            for stripe in &self.stripes {
                lock(stripe).detach_tagged();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;
    use crate::cache::{
        content::Terms,
        flight::Outcome,
        store::{Begun, Manner, tests::store},
    };

    #[tokio::test]
    async fn a_load_that_begins_during_an_eviction_by_tag_is_overtaken_or_held() {
        for round in 0..20_000 {
            let store = store();
            let terms = Terms { ttl: None, tags: vec![Tag::new("a")] };
            let barrier = Barrier::new(2);
            thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    store.evict_tags(&terms.tags, Duration::from_mins(1));
                });
                barrier.wait();
                for _ in 0..round % 50 {
                    std::hint::spin_loop();
                }
                if let Begun::Lead(lead) = store.begin(1, Manner::Shared, true, &|_| true) {
                    lead.keep(Outcome::Value(1), &terms);
                }
            });
            assert_eq!(store.len(), 0, "round {round}");
        }
    }
}
