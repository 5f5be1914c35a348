//! The leader of a load.

use std::{mem, sync::Arc};

use super::{
    admission::{Admission, Full},
    content::{Content, Terms},
    flight::{Flight, Outcome},
    leftovers::discard,
    store::Store,
    stripe::{Purpose, Redeemed},
};
use crate::{
    key::{Key, Value},
    mutation::Mutation,
    statistics::count,
};

/// The leader of a load: it runs the body, and holds the ticket to keep the value.
///
/// Dropped without [`keep`](Self::keep) or [`land`](Self::land), as happens when the load is cancelled or panics, it
/// gives the ticket back and wakes those who wait, one of whom leads next (rule R9).
pub(crate) struct Lead<K: Key, V: Value> {
    store: Arc<Store<K, V>>,
    pub(super) hash: u64,
    pub(super) flight: Arc<Flight<V>>,
    /// The number of the last eviction before it began; later ones of its tags overtake it.
    pub(super) began: u64,
    purpose: Purpose,
    /// Whether it was admitted, which it gives back.
    admitted: bool,
    /// Whether the ticket may still be out and the end of the flight is still to be stated.
    pub(super) open: bool,
}

impl<K: Key, V: Value> Lead<K, V> {
    pub(super) fn new(
        store: Arc<Store<K, V>>,
        hash: u64,
        flight: Arc<Flight<V>>,
        began: u64,
        purpose: Purpose,
    ) -> Self {
        Self { store, hash, flight, began, purpose, admitted: false, open: true }
    }

    /// Is admitted, if that is possible at once.
    #[inline]
    pub(super) fn admit_now(&mut self) -> Result<(), Full> {
        self.admitted = Admission::take_now(&self.store.info)?;
        Ok(())
    }

    /// The same for one that has waited for it.
    pub(super) fn admit(&mut self, admission: Option<Admission>) {
        self.admitted = admission.map(Admission::hand_over).is_some();
    }

    /// The body is about to run.
    pub(super) fn begins(&self) {
        if self.purpose == Purpose::ShareUntilItBegins && !Mutation::JoinLoadsThatRun.is_on() {
            // Under the stripe's lock, so who has joined came before the body reads anything.
            self.store.detach(self.hash, &self.flight);
        }
        self.flight.admit();
    }

    /// Whether what it loads may be kept.
    pub(crate) fn keeps(&self) -> bool {
        self.purpose == Purpose::Keep
    }

    /// Keeps how the load ended, unless an eviction overtook it; either way it answers those who waited. Whether it was
    /// kept.
    pub(crate) fn keep(mut self, outcome: Outcome<V>, terms: &Terms) -> bool {
        if !self.keeps() {
            self.end(outcome);
            return false;
        }
        let store = &self.store;
        let mut stripe = store.stripe(self.hash);
        let redeemed = stripe.redeem(self.hash, &self.flight);
        // With the ticket gone nobody else can join, so the count can only fall. Without those who wait it is one for this
        // lead, and one for the ticket that was given back; then the value need not be cloned.
        let unshared = 1 + usize::from(redeemed.is_some());
        let answer = (Arc::strong_count(&self.flight) > unshared).then(|| outcome.clone());
        let kept = match (redeemed, Content::of(outcome)) {
            // A separate load may come second to another one that is just as fresh.
            (Some(Redeemed { key, flight, is_absent }), Some(content)) => {
                if answer.is_none() {
                    // From here on it is another load's, whose end is not this one's to state: not even if code of the
                    // user's panics below.
                    self.open = false;
                    stripe.recycle(flight);
                }
                store.replace(key, is_absent, content, terms, self.began, stripe)
            }
            leftover => {
                drop(stripe);
                discard(leftover);
                false
            }
        };
        if !kept {
            count(&store.info.counters.not_kept, 1);
        }
        // Had code of the user's panicked before, `Drop` would have woken those who wait, if there are any.
        self.open = false;
        if let Some(answer) = answer {
            self.flight.land(answer);
        }
        kept
    }

    /// The load ended, and nothing of it is to be kept.
    pub(crate) fn land(mut self, outcome: Outcome<V>) {
        self.end(outcome);
    }

    /// Lets those who wait go, each to load for itself, and nobody join any more; the ticket stays.
    pub(crate) fn unshare(&self) {
        self.store.detach(self.hash, &self.flight);
        self.flight.land(Outcome::Abandoned);
    }

    fn end(&mut self, outcome: Outcome<V>) {
        if mem::take(&mut self.open) {
            let redeemed = self.store.stripe(self.hash).redeem(self.hash, &self.flight);
            discard(redeemed);
            self.flight.land(outcome);
        }
    }

    pub(crate) fn store(&self) -> &Arc<Store<K, V>> {
        &self.store
    }
}

impl<K: Key, V: Value> Drop for Lead<K, V> {
    fn drop(&mut self) {
        if self.admitted {
            Admission::give_back(&self.store.info);
        }
        if !Mutation::AbandonInSilence.is_on() {
            self.end(Outcome::Abandoned);
        }
    }
}
