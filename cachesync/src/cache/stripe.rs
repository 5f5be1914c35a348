//! A stripe: the keys of a cache that hash alike, the loads of them in flight, and their holds.
//!
//! Invariant: at most one ticket of a key is joinable by any one caller: of those whose key is held at most one, and of the
//! others at most one. A ticket that is no longer in its stripe was overtaken: what
//! its holder loaded must not be kept.

use std::{mem, sync::Arc};

use super::{flight::Flight, holds::Holds, marks::Marks};
use crate::{clock::Moment, mutation::Mutation, places::Places};

/// The right to keep, or to share, what is being loaded for a key, until an eviction takes it away.
pub(super) struct Ticket<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) flight: Arc<Flight<V>>,
    /// Whether callers who miss the key may wait for this load.
    pub(super) joinable: bool,
    /// Whether what it loads may carry tags.
    pub(super) tagged: bool,
    pub(super) purpose: Purpose,
    /// When it began, by boot time, or somewhat earlier; [`Moment::PAST`] where nobody has asked.
    pub(super) began: Moment,
    /// Where there was no entry when it was issued, how many [were inserted](Stripe::inserted) until then.
    pub(super) absent: Option<u64>,
}

/// A ticket that was given back.
pub(super) struct Redeemed<K, V> {
    pub(super) key: K,
    pub(super) flight: Arc<Flight<V>>,
    /// Whether there is no entry of this key.
    pub(super) is_absent: bool,
}

/// What becomes of a load apart from the answer to its caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// It may be kept, and is shared.
    Keep,
    /// It is shared.
    Share,
    /// It is shared with those who come before its body begins: its key is held, so the database may commit at any moment.
    ShareUntilItBegins,
}

/// How many keys of one stripe are remembered by themselves as evicted.
const MAX_MARKS: usize = 64;

pub(super) struct Stripe<K, V> {
    /// When keys of this stripe were last evicted or put.
    pub(super) marks: Marks,
    tickets: Vec<Ticket<K, V>>,
    /// Where each of them is.
    places: Places,
    /// How many entries with keys of this stripe were inserted. As long as it stays the same, what was absent is.
    pub(super) inserted: u64,
    /// A flight that nobody has waited for, to be used again.
    spare: Option<Arc<Flight<V>>>,
    pub(super) holds: Holds,
}

impl<K, V> Default for Stripe<K, V> {
    fn default() -> Self {
        Self {
            marks: Marks::new(MAX_MARKS),
            tickets: Vec::new(),
            places: Places::new(),
            inserted: 0,
            spare: None,
            holds: Holds::default(),
        }
    }
}

impl<K: Eq, V> Stripe<K, V> {
    /// The load of this key that can be waited for; one of which `may_join` is false will not be waited for by anybody.
    pub(super) fn joinable(
        &mut self,
        hash: u64,
        key: &K,
        may_join: &dyn Fn(&Ticket<K, V>) -> bool,
    ) -> Option<&Arc<Flight<V>>> {
        let index = self.find(hash, &|ticket| ticket.joinable && ticket.key == *key)?;
        let ticket = &mut self.tickets[index];
        ticket.joinable = may_join(ticket);
        ticket.joinable.then_some(&ticket.flight)
    }

    /// The load of this key that is held and yet to begin.
    pub(super) fn joinable_while_held(&self, hash: u64, key: &K) -> Option<&Arc<Flight<V>>> {
        let is_it = |ticket: &Ticket<K, V>| {
            ticket.joinable && ticket.purpose == Purpose::ShareUntilItBegins && ticket.key == *key
        };
        self.find(hash, &is_it).map(|index| &self.tickets[index].flight)
    }

    fn find(&self, hash: u64, is_it: &dyn Fn(&Ticket<K, V>) -> bool) -> Option<usize> {
        self.places.find(hash, &mut |index| is_it(&self.tickets[index]))
    }

    fn take(&mut self, index: usize) -> Ticket<K, V> {
        let last = self.tickets.len() - 1;
        self.places.swap_remove(self.tickets[index].hash, index, self.tickets[last].hash, last);
        self.tickets.swap_remove(index)
    }

    pub(super) fn issue(&mut self, ticket: Ticket<K, V>) {
        self.places.insert(ticket.hash, self.tickets.len());
        self.tickets.push(ticket);
    }

    /// Takes the ticket of this flight back; `None` if it was overtaken.
    pub(super) fn redeem(&mut self, hash: u64, flight: &Arc<Flight<V>>) -> Option<Redeemed<K, V>> {
        let index = self.find(hash, &|ticket| Arc::ptr_eq(&ticket.flight, flight))?;
        let Ticket { key, flight, absent, .. } = self.take(index);
        Some(Redeemed { key, flight, is_absent: absent == Some(self.inserted) })
    }

    /// A flight for a new load.
    pub(super) fn flight(&mut self) -> Arc<Flight<V>> {
        self.spare.take().unwrap_or_else(Flight::new)
    }

    /// Takes a flight that nobody waits for, and nobody can join any more, for a load to come.
    pub(super) fn recycle(&mut self, flight: Arc<Flight<V>>) {
        // One that was unshared has landed.
        if flight.outcome().is_none() {
            flight.clear();
            self.spare = Some(flight);
        }
    }

    /// Lets nobody join this flight any more.
    pub(super) fn detach(&mut self, hash: u64, flight: &Arc<Flight<V>>) {
        if let Some(index) = self.find(hash, &|ticket| Arc::ptr_eq(&ticket.flight, flight)) {
            self.tickets[index].joinable = false;
        }
    }

    /// Lets nobody join a flight any more that may bring in tags.
    pub(super) fn detach_tagged(&mut self) {
        for ticket in &mut self.tickets {
            ticket.joinable &= !ticket.tagged;
        }
    }

    /// Takes every ticket of a key; they are returned so that they can be dropped outside the lock.
    pub(super) fn overtake(&mut self, hash: u64, key: &K) -> Vec<Ticket<K, V>> {
        let mut overtaken = Vec::new();
        if self.tickets.is_empty() || Mutation::KeepOvertakenLoads.is_on() {
            return overtaken;
        }
        while let Some(index) = self.find(hash, &|ticket| ticket.key == *key) {
            overtaken.push(self.take(index));
        }
        overtaken
    }

    /// Takes every ticket of every key.
    pub(super) fn overtake_all(&mut self) -> Vec<Ticket<K, V>> {
        // An empty list keeps its room.
        if self.tickets.is_empty() || Mutation::KeepOvertakenLoads.is_on() {
            return Vec::new();
        }
        self.places = Places::new();
        mem::take(&mut self.tickets)
    }

    /// The keys that have a ticket.
    pub(super) fn keys_in_flight(&self) -> impl Iterator<Item = &K> {
        self.tickets.iter().map(|ticket| &ticket.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::flight::Outcome;

    fn ticket(stripe: &mut Stripe<u64, ()>, key: u64) -> Arc<Flight<()>> {
        let flight = stripe.flight();
        stripe.issue(Ticket {
            hash: key,
            key,
            flight: flight.clone(),
            joinable: true,
            tagged: false,
            purpose: Purpose::Keep,
            began: Moment::PAST,
            absent: Some(stripe.inserted),
        });
        flight
    }

    #[test]
    fn a_flight_that_nobody_has_waited_for_is_that_of_the_next_load_as_if_it_were_new() {
        let mut stripe = Stripe::<u64, ()>::default();
        let first = ticket(&mut stripe, 1);
        first.admit();
        let redeemed = stripe.redeem(1, &first).unwrap();
        stripe.recycle(redeemed.flight);
        let second = ticket(&mut stripe, 2);
        assert!(Arc::ptr_eq(&first, &second) && !second.is_admitted());
        assert!(!Arc::ptr_eq(&second, &ticket(&mut stripe, 3)), "each is used by one load at a time");
    }

    #[test]
    fn a_flight_that_was_unshared_has_landed_and_is_not_used_again() {
        let mut stripe = Stripe::<u64, ()>::default();
        let first = ticket(&mut stripe, 1);
        first.land(Outcome::Abandoned);
        let redeemed = stripe.redeem(1, &first).unwrap();
        stripe.recycle(redeemed.flight);
        assert!(ticket(&mut stripe, 2).outcome().is_none());
    }

    #[test]
    fn what_was_absent_is_until_something_is_inserted() {
        let mut stripe = Stripe::<u64, ()>::default();
        let [first, second] = [1, 2].map(|key| ticket(&mut stripe, key));
        assert!(stripe.redeem(1, &first).unwrap().is_absent);
        stripe.inserted += 1;
        assert!(!stripe.redeem(2, &second).unwrap().is_absent);
    }

    #[test]
    fn a_ticket_is_that_of_its_load_also_after_others_were_taken_away_or_given_back() {
        let mut stripe = Stripe::<u64, ()>::default();
        let flights: Vec<_> = (0..20u64).map(|key| (key, ticket(&mut stripe, key))).collect();
        assert_eq!(stripe.overtake(11, &11).len(), 1);
        let (first, then): (Vec<_>, Vec<_>) = flights.iter().partition(|(key, _)| [0, 19, 7, 8, 11].contains(key));
        for (key, flight) in first.into_iter().chain(then) {
            let redeemed = stripe.redeem(*key, flight).map(|redeemed| redeemed.key);
            assert_eq!(redeemed, (*key != 11).then_some(*key));
        }
        assert_eq!(stripe.keys_in_flight().count(), 0);
    }
}
