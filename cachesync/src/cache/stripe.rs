//! A stripe: the keys of a cache that hash alike, the loads of them in flight, and their holds.
//!
//! Invariant: at most one ticket of a key is joinable by any one caller: of those whose key is held at most one, and of the
//! others at most one. A ticket that is no longer in its stripe was overtaken: what
//! its holder loaded must not be kept.

use std::{sync::Arc, time::Duration};

use hashbrown::HashTable;

use super::{flight::Flight, marks::Marks};
use crate::{clock::Moment, mutation::Mutation};

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

struct Hold<K> {
    hash: u64,
    key: K,
    until: Moment,
}

/// How many keys of one stripe are remembered by themselves as evicted.
const MAX_MARKS: usize = 64;
/// The most keys of one stripe that are held at the same time.
const MAX_HOLDS: usize = 4_096;
/// Holds of a stripe that is full of them are swept no more often than this, or each of a flood would cost a sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Stripe<K, V> {
    /// When keys of this stripe were last evicted or put.
    pub(super) marks: Marks,
    tickets: HashTable<Ticket<K, V>>,
    /// How many entries with keys of this stripe were inserted. As long as it stays the same, what was absent is.
    pub(super) inserted: u64,
    /// A flight that nobody has waited for, to be used again.
    spare: Option<Arc<Flight<V>>>,
    holds: HashTable<Hold<K>>,
    /// When `holds` has grown to this, the ended ones are swept out.
    sweep_at: usize,
    /// Not before this.
    next_sweep: Moment,
}

impl<K, V> Default for Stripe<K, V> {
    fn default() -> Self {
        Self {
            marks: Marks::new(MAX_MARKS),
            tickets: HashTable::new(),
            inserted: 0,
            spare: None,
            holds: HashTable::new(),
            sweep_at: 32,
            next_sweep: Moment::PAST,
        }
    }
}

impl<K: Eq, V> Stripe<K, V> {
    /// The load of this key that can be waited for; one of which `may_join` is false will not be waited for by anybody.
    pub(super) fn joinable(
        &mut self,
        hash: u64,
        key: &K,
        may_join: impl FnOnce(&Ticket<K, V>) -> bool,
    ) -> Option<&Arc<Flight<V>>> {
        let ticket = self.tickets.find_mut(hash, |ticket| ticket.joinable && ticket.key == *key)?;
        ticket.joinable = may_join(ticket);
        ticket.joinable.then_some(&ticket.flight)
    }

    /// The load of this key that is held and yet to begin.
    pub(super) fn joinable_while_held(&self, hash: u64, key: &K) -> Option<&Arc<Flight<V>>> {
        let is_it = |ticket: &Ticket<K, V>| {
            ticket.joinable && ticket.purpose == Purpose::ShareUntilItBegins && ticket.key == *key
        };
        self.tickets.find(hash, is_it).map(|ticket| &ticket.flight)
    }

    pub(super) fn issue(&mut self, ticket: Ticket<K, V>) {
        self.tickets.insert_unique(ticket.hash, ticket, |ticket| ticket.hash);
    }

    /// Takes the ticket of this flight back; `None` if it was overtaken.
    pub(super) fn redeem(&mut self, hash: u64, flight: &Arc<Flight<V>>) -> Option<Redeemed<K, V>> {
        let found = self.tickets.find_entry(hash, |ticket| Arc::ptr_eq(&ticket.flight, flight)).ok()?;
        let Ticket { key, flight, absent, .. } = found.remove().0;
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
        if let Some(ticket) = self.tickets.find_mut(hash, |ticket| Arc::ptr_eq(&ticket.flight, flight)) {
            ticket.joinable = false;
        }
    }

    /// Lets nobody join a flight any more that may bring in tags.
    pub(super) fn detach_tagged(&mut self) {
        self.tickets.iter_mut().filter(|ticket| ticket.tagged).for_each(|ticket| ticket.joinable = false);
    }

    /// Takes every ticket of a key; they are returned so that they can be dropped outside the lock.
    pub(super) fn overtake(&mut self, hash: u64, key: &K) -> Vec<Ticket<K, V>> {
        let mut overtaken = Vec::new();
        if self.tickets.is_empty() || Mutation::KeepOvertakenLoads.is_on() {
            return overtaken;
        }
        while let Ok(found) = self.tickets.find_entry(hash, |ticket| ticket.key == *key) {
            overtaken.push(found.remove().0);
        }
        overtaken
    }

    /// Takes every ticket of every key.
    pub(super) fn overtake_all(&mut self) -> HashTable<Ticket<K, V>> {
        // An empty table keeps its room.
        if self.tickets.is_empty() || Mutation::KeepOvertakenLoads.is_on() {
            return HashTable::new();
        }
        std::mem::take(&mut self.tickets)
    }

    /// The keys that have a ticket.
    pub(super) fn keys_in_flight(&self) -> impl Iterator<Item = &K> {
        self.tickets.iter().map(|ticket| &ticket.key)
    }

    /// For loads that begin before `until`, nothing of this key is kept. `false` if there is no room for the hold.
    #[must_use]
    pub(super) fn hold(&mut self, hash: u64, key: &K, until: Moment, now: Moment) -> bool
    where
        K: Clone,
    {
        if let Some(hold) = self.holds.find_mut(hash, |hold| hold.key == *key) {
            hold.until = hold.until.max(until);
            return true;
        }
        if self.holds.len() >= self.sweep_at && now >= self.next_sweep {
            self.holds.retain(|hold| hold.until > now);
            self.sweep_at = (2 * self.holds.len()).clamp(32, MAX_HOLDS);
            if self.holds.len() >= MAX_HOLDS {
                self.next_sweep = now.after(SWEEP_PAUSE);
            }
        }
        let room = self.holds.len() < MAX_HOLDS;
        if room {
            self.holds.insert_unique(hash, Hold { hash, key: key.clone(), until }, |hold| hold.hash);
        }
        room
    }

    /// Whether the key is held; `now` is asked for only when something is.
    pub(super) fn is_held(&self, hash: u64, key: &K, now: impl FnOnce() -> Moment) -> bool {
        !self.holds.is_empty() && self.holds.find(hash, |hold| hold.key == *key).is_some_and(|hold| hold.until > now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::flight::Outcome;

    #[test]
    fn ended_holds_are_swept_so_that_they_do_not_pile_up() {
        let mut stripe = Stripe::<u64, ()>::default();
        for key in 0..10_000 {
            assert!(stripe.hold(key, &key, Moment(key + 2), Moment(key)));
        }
        assert!(stripe.holds.len() < 100, "{}", stripe.holds.len());
        assert!(stripe.is_held(9_999, &9_999, || Moment(10_000)));
        assert!(!stripe.is_held(9_999, &9_999, || Moment(10_001)));
    }

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
    fn a_hold_is_extended_and_never_shortened() {
        let mut stripe = Stripe::<u64, ()>::default();
        assert!(stripe.hold(1, &1, Moment(100), Moment(1)));
        assert!(stripe.hold(1, &1, Moment(50), Moment(1)));
        assert!(stripe.is_held(1, &1, || Moment(99)));
    }

    #[test]
    fn a_stripe_that_was_full_of_holds_takes_new_ones_when_they_have_ended() {
        let mut stripe = Stripe::<u64, ()>::default();
        for key in 0..10_000 {
            let _ = stripe.hold(key, &key, Moment(100), Moment(1));
        }
        let later = Moment(1).after(SWEEP_PAUSE);
        assert!(!stripe.hold(1, &10_001, Moment::NEVER, Moment(later.0 - 1)), "it was swept a moment ago");
        assert!(stripe.hold(1, &10_001, Moment::NEVER, later));
        assert_eq!(stripe.holds.len(), 1);
    }

    #[test]
    fn holds_that_last_are_refused_when_there_are_too_many() {
        let mut stripe = Stripe::<u64, ()>::default();
        let refused = (0..10_000).filter(|key| !stripe.hold(*key, key, Moment::NEVER, Moment(1))).count();
        assert_eq!(refused, 10_000 - MAX_HOLDS);
    }
}
