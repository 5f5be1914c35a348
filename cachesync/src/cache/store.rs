//! The store: a cache's entries, and the rule that no stale value gets in (R1).
//!
//! # Why no stale value gets in
//!
//! `quick_cache` holds the entries; beside it stand stripes, each a mutex around the tickets of the loads in flight.
//! Whoever wants to keep a value takes a ticket *before* it begins to load, and to store the value takes the stripe's
//! mutex, finds its own ticket there, removes it and inserts: one critical section. An eviction takes the same mutex,
//! throws away all tickets of the key and removes the entry: one critical section too. The two are therefore in an
//! order. If the eviction is first, the ticket is gone and nothing is stored. If the store is first, the eviction
//! removes what was stored. Either way the value whose load began before the eviction is not there after it.
//!
//! Many keys are evicted stripe by stripe, those of one stripe in one critical section, see
//! [`evict_many`](super::evict_many). For each of them that is what is said above.
//!
//! A store puts its entry in the place of another, which is taken out first. That is left out where there is none: the ticket
//! knows how many entries were inserted under its stripe's mutex when none of its key was found there, and if it is as many
//! now, none is.
//!
//! "All" takes the tickets of one stripe after the other and then removes the entries. A load with a ticket taken
//! from a stripe before its turn either stored before that turn, and its entry goes with the entries; or finds its
//! ticket gone. Removing the entries may also hit the value of a load that began in between; that is one load more,
//! not a wrong answer.
//!
//! Who does not know the key yet when it begins (a put whose key is found in its result) has no ticket. It notes the
//! number of the last eviction instead, and stores only if the key's stripe remembers none of the key since: every
//! eviction, and every put, takes its number in the same critical section in which it does its work.
//!
//! Tags have an argument of their own, see [`tags`](super::tags), and so have predicates, see
//! [`predicate`](super::predicate).
//!
//! `quick_cache`'s own placeholders could arbitrate loads of single keys, but `retain` and `drain` do not see them, they
//! cannot share a load without keeping its value, nor tell waiters of an error. One mechanism of our own serves loads,
//! reservations, puts, and every kind of eviction. The models in `src/model` run this code under every schedule with few
//! preemptions; the tests in `tests/integration/stale_fill.rs` attack the argument step by step.
//!
//! Lock order: stripe, then the index of tags or `quick_cache`'s shard. Of user code only `Hash` and `Eq` of keys and
//! `Clone` run under these locks; values and keys that leave are dropped after they are released, since their `Drop` may
//! use the cache.

use std::{
    hash::BuildHasher,
    sync::{Arc, PoisonError},
    time::Duration,
};

use quick_cache::{Lifecycle, UnitWeighter, sync::Cache as QuickCache};
use tokio::sync::Semaphore;

use super::{
    content::{Content, Expiry, Stored, Terms},
    flight::Flight,
    info::CacheInfo,
    lead::Lead,
    leftovers::{discard, survived},
    stripe::{Purpose, Stripe, Ticket},
    tags::{Forgotten, Tag, TagIndex},
};
use crate::{
    clock::Moment,
    key::{Key, KeyForm, Probe, Value},
    mutation::Mutation,
    statistics::count,
    sync::{
        DefaultHashBuilder, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

/// How many waiters of a failed load try for themselves at the same time.
const RETRIES_AT_ONCE: usize = 16;
/// Under the model checker few, so that there are few schedules.
pub(super) const STRIPES: usize = if cfg!(all(test, cachesync_shuttle)) { 2 } else { 64 };

/// Collects what was displaced, so that it is dropped after the locks are released.
#[derive(Clone)]
pub(super) struct Displaced;

impl<K, V> Lifecycle<K, Stored<V>> for Displaced {
    type RequestState = Vec<(K, Stored<V>)>;

    fn on_evict(&self, displaced: &mut Self::RequestState, key: K, value: Stored<V>) {
        displaced.push((key, value));
    }
}

pub(crate) struct Store<K, V> {
    pub(crate) info: Arc<CacheInfo>,
    pub(super) entries: QuickCache<K, Stored<V>, UnitWeighter, DefaultHashBuilder, Displaced>,
    pub(super) stripes: Vec<Mutex<Stripe<K, V>>>,
    pub(super) hasher: DefaultHashBuilder,
    tags: Mutex<TagIndex>,
    /// Whether any entry ever carried a tag. Set under the stripe's lock of the entry's key.
    has_tags: AtomicBool,
    pub(super) retries: Arc<Semaphore>,
}

/// In which manner a caller loads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One for all: it joins a load in flight, and others may join its own.
    Shared,
    /// By itself, unless there is an entry.
    Separate,
    /// By itself, even if there is an entry.
    ByHand,
}

/// How a caller who found no entry goes on.
pub(crate) enum Begun<K: Key, V: Value> {
    /// There is an entry after all.
    Hit(Content<V>),
    /// It loads; others may wait for it, and it may keep the value unless that is only to be shared.
    Lead(Lead<K, V>),
    /// Another caller loads the same key, which is given back.
    Wait(Arc<Flight<V>>, K),
    /// It loads for itself, and the value is not kept.
    Alone,
}

impl<K: Key, V: Value> Store<K, V> {
    pub(crate) fn new(info: Arc<CacheInfo>) -> Arc<Self> {
        let hasher = DefaultHashBuilder::default();
        let capacity = if info.config.evict_only { 1 } else { info.config.capacity };
        let entries = QuickCache::with(capacity, capacity as u64, UnitWeighter, hasher.clone(), Displaced);
        // Not collected, which would be compiled for each cache.
        let mut stripes = Vec::with_capacity(STRIPES);
        for _ in 0..STRIPES {
            stripes.push(Mutex::default());
        }
        Arc::new(Self {
            info,
            entries,
            stripes,
            hasher,
            tags: Mutex::default(),
            has_tags: AtomicBool::new(false),
            retries: Arc::new(Semaphore::new(RETRIES_AT_ONCE)),
        })
    }

    /// The hit path: the answer that `answer` makes of the entry, if there is one that may be served now.
    #[inline]
    pub(crate) fn hit<Q: KeyForm<K>, T>(&self, key: &Q, answer: impl FnOnce(Content<V>) -> Option<T>) -> Option<T> {
        let now = self.info.serves_at()?;
        // Taken apart where it is: moved as a whole it would be written to memory once more.
        let (value, expiry) = match self.entries.get(&Probe::new(key)) {
            Some(Stored::Value(value, expiry)) => (value, expiry),
            Some(negative) => return self.serve_negative(negative, now, answer),
            None => return None,
        };
        self.serve(Content::Value(value), expiry, now, answer)
    }

    #[inline(never)]
    fn serve_negative<T>(
        &self,
        negative: Stored<V>,
        now: Moment,
        answer: impl FnOnce(Content<V>) -> Option<T>,
    ) -> Option<T> {
        let expiry = negative.expiry();
        self.serve(negative.content(), expiry, now, answer)
    }

    #[inline]
    fn serve<T>(
        &self,
        content: Content<V>,
        expiry: Expiry,
        now: Moment,
        answer: impl FnOnce(Content<V>) -> Option<T>,
    ) -> Option<T> {
        if self.has_expired(expiry, now) {
            return None;
        }
        let answer = answer(content)?;
        self.info.counters.hit();
        Some(answer)
    }

    /// What a hit would be answered with. The caller counts it.
    pub(crate) fn content(&self, key: &K) -> Option<Content<V>> {
        let now = self.info.serves_at()?;
        let stored = self.entries.get(key)?;
        (!self.has_expired(stored.expiry(), now)).then(|| stored.content())
    }

    /// The same, unless the entry carries a tag of which `avoided` is true. The caller counts it.
    pub(crate) fn without_tags(&self, key: &K, avoided: &dyn Fn(&Tag) -> bool) -> Option<Content<V>> {
        // Under the stripe's lock, so that entry and tags are of one load.
        let hash = self.hasher.hash_one(key);
        let stripe = self.stripe(hash);
        let avoid = self.index().carries_any(hash, key, avoided);
        let now = if avoid { None } else { self.info.serves_at() };
        let found = now.and_then(|now| Some((self.entries.get(key)?, now)));
        drop(stripe);
        let (stored, now) = found?;
        (!self.has_expired(stored.expiry(), now)).then(|| stored.content())
    }

    /// Whether an entry is too old; `now` is [`Moment::PAST`] where nobody has asked for the time yet.
    #[inline]
    fn has_expired(&self, expiry: Expiry, now: Moment) -> bool {
        if now > Moment::PAST && expiry.is_after(now) {
            return false;
        }
        self.has_expired_by_the_clock(expiry)
    }

    #[inline(never)]
    fn has_expired_by_the_clock(&self, expiry: Expiry) -> bool {
        expiry != Expiry::NEVER && !expiry.is_after(self.info.clock.now()) && !Mutation::ServeExpired.is_on()
    }

    /// For a caller who missed: what to do about it.
    ///
    /// `tagged` says that what it loads may carry tags. An entry of which `answers` is false is none for this caller.
    ///
    /// The key is owned, as the ticket needs it, and `answers` is no type parameter: this is compiled once for each cache,
    /// and not for each function and form of its key.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: K,
        manner: Manner,
        tagged: bool,
        answers: &dyn Fn(&Content<V>) -> bool,
    ) -> Begun<K, V> {
        let info = &self.info;
        let serves = info.serves_at();
        if serves.is_none() && info.lease.is_closed() {
            return Begun::Alone;
        }
        if info.config.evict_only || !info.key_survives_the_wire(&key) {
            return Begun::Alone;
        }
        let hash = self.hasher.hash_one(&key);
        // What is not served is dropped after the lock is released, and so is the key.
        let mut unserved = None;
        let mut stripe = self.stripe(hash);
        // Before the body begins, as the ticket is; and before it is asked for holds: an eviction by tag sets its hold,
        // then takes its number, so whoever does not see the hold has a lower number.
        let began = info.evictions();
        let held = self.is_held(&stripe, hash, &key) || tagged && info.tagged_are_held();
        let purpose = match (held, serves) {
            (true, _) => Purpose::ShareUntilItBegins,
            (false, Some(_)) => Purpose::Keep,
            (false, None) => Purpose::Share,
        };
        let keeps = purpose == Purpose::Keep;
        if manner == Manner::Shared && !Mutation::NeverShareLoads.is_on() {
            let may_join = |load: &Ticket<K, V>| match load.purpose {
                Purpose::Keep => keeps || self.is_young(load.began),
                Purpose::Share => self.is_young(load.began),
                Purpose::ShareUntilItBegins => true,
            };
            let flight =
                if held { stripe.joinable_while_held(hash, &key) } else { stripe.joinable(hash, &key, &may_join) };
            if let Some(flight) = flight {
                return Begun::Wait(flight.clone(), key);
            }
        }
        let mut absent = None;
        // A load may have ended between the caller's look and the lock.
        if manner != Manner::ByHand
            && let Some(now) = serves
        {
            absent = Some(stripe.inserted);
            if let Some(stored) = self.entries.get(&key) {
                let (expiry, content) = (stored.expiry(), stored.content());
                let mut expired = None;
                if self.has_expired(expiry, now) {
                    count(&info.counters.expired, 1);
                    expired = Some(self.take(&key));
                } else if answers(&content) {
                    info.counters.hit();
                    return Begun::Hit(content);
                } else {
                    absent = None;
                }
                unserved = Some((content, expired));
            }
        }
        if !keeps && manner != Manner::Shared {
            drop(stripe);
            discard((key, unserved));
            return Begun::Alone;
        }
        let flight = stripe.flight();
        stripe.issue(Ticket {
            hash,
            key,
            flight: flight.clone(),
            joinable: manner == Manner::Shared,
            tagged,
            purpose,
            began: match serves.filter(|_| keeps) {
                // Who keeps is joined at any age, unless its lease may end.
                Some(Moment::PAST) => Moment::PAST,
                Some(now) => info.lease.boot_at(now, &info.clock),
                None => info.clock.boot(),
            },
            absent,
        });
        drop(stripe);
        if let Some(unserved) = unserved {
            discard(unserved);
        }
        Begun::Lead(Lead::new(self.clone(), hash, flight, began, purpose))
    }

    /// Whether a load that began then may be shared although nothing of it may be kept: who joins it gets a value that is
    /// no older than the load, and so no older than the lease (rule R6).
    fn is_young(&self, began: Moment) -> bool {
        Mutation::JoinAtAnyAge.is_on()
            || began > Moment::PAST && self.info.clock.boot().since(began) < self.info.lease.length()
    }

    /// Puts an entry in the place of another, unless there is none, under the stripe's lock, and releases it; whether it was
    /// kept. Without that, the key is absent.
    pub(super) fn replace(
        &self,
        key: K,
        is_absent: bool,
        content: Content<V>,
        Terms { ttl, tags }: &Terms,
        began: u64,
        mut stripe: MutexGuard<'_, Stripe<K, V>>,
    ) -> bool {
        // Tags may be there without an entry, of one that has left by itself a moment ago.
        let removed = (!is_absent || self.has_tags.load(Ordering::Relaxed)).then(|| self.take(&key));
        let ttl = ttl.or(self.info.config.ttl);
        let fresh = ttl != Some(Duration::ZERO) && (tags.is_empty() || self.register(&key, tags, began));
        let mut displaced = Vec::new();
        let leftover = if fresh {
            let expires = ttl.map_or(Moment::NEVER, |ttl| self.info.clock.now().after(ttl));
            stripe.inserted += 1;
            self.entries.insert_with_lifecycle(key, Stored::new(content, expires), &mut displaced);
            None
        } else {
            Some((key, content))
        };
        drop(stripe);
        if removed.is_some() || leftover.is_some() {
            discard((removed, leftover));
        }
        if !displaced.is_empty() {
            count(&self.info.counters.displaced, displaced.len());
            for left in displaced {
                self.dismiss(left);
            }
        }
        fresh
    }

    fn register(&self, key: &K, tags: &[Tag], began: u64) -> bool {
        // Whoever removes this entry later takes the stripe's lock, and sees this.
        self.has_tags.store(true, Ordering::Relaxed);
        self.index().register(self.hasher.hash_one(key), key, tags, began)
    }

    fn forget(&self, hash: u64, key: &K) -> Forgotten {
        self.index().forget(hash, key)
    }

    /// Takes an entry and its tags out, under its stripe's lock; what is returned is to be dropped after it.
    #[must_use]
    pub(super) fn take(&self, key: &K) -> impl Sized + use<K, V> {
        let forgotten = self.has_tags.load(Ordering::Relaxed).then(|| self.forget(self.hasher.hash_one(key), key));
        (self.entries.remove(key), forgotten)
    }

    /// Drops an entry that has left by itself, when no lock is held. Its tags go, unless the key is there again.
    pub(super) fn dismiss(&self, left: (K, Stored<V>)) {
        if self.has_tags.load(Ordering::Relaxed) {
            let mut forget = || {
                let key = &left.0;
                let hash = self.hasher.hash_one(key);
                let stripe = self.stripe(hash);
                let forgotten = (!self.entries.contains_key(key)).then(|| self.forget(hash, key));
                drop(stripe);
                discard(forgotten);
            };
            // The index may name what is gone; the eviction, or another key's load, must not end here.
            if !survived(&mut forget) {
                self.info.report("a key that left a cache panicked in its `Hash` or `Eq`");
            }
        }
        discard(left);
    }

    /// Lets nobody join this load any more: the next caller who misses the key leads.
    pub(super) fn detach(&self, hash: u64, flight: &Arc<Flight<V>>) {
        self.stripe(hash).detach(hash, flight);
    }

    /// The same, by the key.
    pub(super) fn detach_key(&self, key: &K, flight: &Arc<Flight<V>>) {
        self.detach(self.hasher.hash_one(key), flight);
    }

    pub(super) fn is_held(&self, stripe: &Stripe<K, V>, hash: u64, key: &K) -> bool {
        if Mutation::IgnoreHolds.is_on() {
            return false;
        }
        let all = Moment(self.info.all_held_until.load(Ordering::Acquire));
        let until = if stripe.holds.is_empty() { all } else { all.max(stripe.holds.until(hash, key)) };
        until > Moment::PAST && until > self.info.clock.now()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn stripe(&self, hash: u64) -> MutexGuard<'_, Stripe<K, V>> {
        lock(&self.stripes[stripe_of(hash)])
    }

    pub(super) fn index(&self) -> MutexGuard<'_, TagIndex> {
        lock(&self.tags)
    }
}

/// Which stripe a hash belongs to.
pub(super) fn stripe_of(hash: u64) -> usize {
    // The high bits: the low ones choose the place within hash tables.
    usize::try_from(hash >> 48).unwrap_or(0) % STRIPES
}

/// A panic under the lock can only come from a key's `Eq` or `Clone`; the tables are consistent between steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use cachesync_core::Name;

    use super::*;
    use crate::{cache::flight::Outcome, clock::Clock, config::CacheConfig, lease::Lease};

    pub(in crate::cache) fn store() -> Arc<Store<u64, u64>> {
        let (name, lease) = (Name::new("users").unwrap(), Arc::new(Lease::endless(Duration::from_secs(10))));
        let config = CacheConfig::new("users").capacity(4);
        Store::new(Arc::new(CacheInfo::new(name, config, Clock::System, lease, tokio::runtime::Handle::current())))
    }

    #[tokio::test]
    async fn of_two_separate_loads_the_second_takes_the_place_of_the_first_which_is_not_displaced() {
        let store = store();
        let begin = || match store.begin(1, Manner::Separate, false, &|_| true) {
            Begun::Lead(lead) => lead,
            _ => panic!("it loads separately"),
        };
        let (first, second) = (begin(), begin());
        assert!(first.keep(Outcome::Value(1), &Terms::default()));
        assert!(second.keep(Outcome::Value(2), &Terms::default()));
        assert_eq!(store.hit(&&1, Content::into_value), Some(2));
        assert_eq!(store.info.counters.snapshot(store.len()).displaced, 0);
    }
}
