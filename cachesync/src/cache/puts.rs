//! Puts: what is stored because it changed, and not because it was loaded.
//!
//! A put overtakes the loads of its key in flight, as an eviction does, and may be overtaken itself. The argument is in
//! [`store`](super::store).

use std::hash::BuildHasher;

use super::{
    content::{Content, Terms},
    lead::Lead,
    leftovers::discard,
    store::Store,
    stripe::Stripe,
};
use crate::{
    key::{Key, Value},
    mutation::Mutation,
    sync::MutexGuard,
};

impl<K: Key, V: Value> Store<K, V> {
    /// Stores what is newer than everything loaded so far, by a put that took its ticket before; whether it was kept.
    ///
    /// If it was overtaken since, by an eviction or by another put, the order of the two is not known: the key is left
    /// absent.
    pub(crate) fn put_reserved(&self, mut lead: Lead<K, V>, key: K, content: Content<V>, terms: &Terms) -> bool {
        let hash = self.hasher.hash_one(&key);
        let mut stripe = self.stripe(hash);
        lead.open = false;
        let ticket = stripe.redeem(hash, &lead.flight);
        let began = ticket.is_some().then_some(lead.began);
        let kept = self.put(key, hash, content, terms, began, stripe);
        discard(ticket);
        kept
    }

    /// The same for a put that did not know its key when it began, after the eviction numbered `began`.
    pub(crate) fn put_late(&self, began: u64, key: K, content: Content<V>, terms: &Terms) -> bool {
        let survives = self.info.key_survives_the_wire(&key);
        let hash = self.hasher.hash_one(&key);
        let stripe = self.stripe(hash);
        let last = stripe.marks.last(hash).max(self.info.last_without_store());
        let in_time = last <= began || Mutation::KeepOvertakenPuts.is_on();
        self.put(key, hash, content, terms, (survives && in_time).then_some(began), stripe)
    }

    /// Stores under the stripe's lock and releases it. `began` is `None` if the put was overtaken.
    fn put(
        &self,
        key: K,
        hash: u64,
        content: Content<V>,
        terms: &Terms,
        began: Option<u64>,
        mut stripe: MutexGuard<'_, Stripe<K, V>>,
    ) -> bool {
        let info = &self.info;
        stripe.marks.mark(hash, info.next_eviction());
        let overtaken = if Mutation::DoNotOvertakeByPuts.is_on() { Vec::new() } else { stripe.overtake(hash, &key) };
        let keepable = !info.config.evict_only
            && !info.key_codec_is_bad()
            && info.serves_at().is_some()
            && !self.is_held(&stripe, hash, &key)
            && (terms.tags.is_empty() || !info.tagged_are_held());
        let kept = if let Some(began) = began.filter(|_| keepable) {
            self.replace(key, false, content, terms, began, stripe)
        } else {
            let removed = self.take(&key);
            drop(stripe);
            discard((key, content, removed));
            false
        };
        discard(overtaken);
        kept
    }
}
