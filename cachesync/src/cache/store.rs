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
//! "All" takes the tickets of one stripe after the other and then removes the entries. A load with a ticket taken
//! from a stripe before its turn either stored before that turn, and its entry goes with the entries; or finds its
//! ticket gone. Removing the entries may also hit the value of a load that began in between; that is one load more,
//! not a wrong answer.
//!
//! `quick_cache`'s own placeholders could arbitrate loads of single keys, but `retain` and `drain` do not see them, they
//! cannot share a load without keeping its value, nor tell waiters of an error. One mechanism of our own serves loads,
//! reservations, puts, and every kind of eviction. `shuttle`, the model checker, does not know std's mutex; the tests
//! in `tests/integration/stale_fill.rs` attack the argument step by step.
//!
//! Lock order: stripe, then `quick_cache`'s shard. Of user code only `Hash` and `Eq` of keys and `Clone` run under a stripe's lock;
//! values and keys that leave are dropped after it is released, since their `Drop` may use the cache.

use std::{
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache as QuickCache};
use tokio::sync::Semaphore;

use super::{
    flight::{Flight, Outcome},
    info::CacheInfo,
    stripe::{Stripe, hash_of},
    tags::Tag,
};
use crate::{
    clock::Moment,
    key::{Key, KeyForm, Probe, Value},
    statistics::count,
};

/// How many waiters of a failed load try for themselves at the same time.
const RETRIES_AT_ONCE: usize = 16;
const STRIPES: usize = 64;

/// What is kept of an entry: 8 bytes next to the value.
#[derive(Clone)]
struct Stored<V> {
    value: V,
    expires: Moment,
}

/// Collects what was displaced, so that it is dropped after the locks are released.
#[derive(Clone)]
struct Displaced;

impl<K, V> Lifecycle<K, Stored<V>> for Displaced {
    type RequestState = Vec<(K, Stored<V>)>;

    fn on_evict(&self, displaced: &mut Self::RequestState, key: K, value: Stored<V>) {
        displaced.push((key, value));
    }
}

pub(crate) struct Store<K, V> {
    pub(crate) info: Arc<CacheInfo>,
    entries: QuickCache<K, Stored<V>, UnitWeighter, DefaultHashBuilder, Displaced>,
    stripes: Box<[Mutex<Stripe<K, V>>]>,
    hasher: DefaultHashBuilder,
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
    Hit(V),
    /// It loads, and may keep the value.
    Lead(Lead<K, V>),
    /// Another caller loads the same key.
    Wait(Arc<Flight<V>>),
    /// It loads for itself, and the value is not kept.
    Alone,
}

impl<K: Key, V: Value> Store<K, V> {
    pub(crate) fn new(info: Arc<CacheInfo>) -> Arc<Self> {
        info.check_key_type::<K>();
        let hasher = DefaultHashBuilder::default();
        let capacity = if info.config.evict_only { 1 } else { info.config.capacity };
        let entries = QuickCache::with(capacity, capacity as u64, UnitWeighter, hasher.clone(), Displaced);
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Arc::new(Self { info, entries, stripes, hasher, retries: Arc::new(Semaphore::new(RETRIES_AT_ONCE)) })
    }

    /// The hit path: the value, if there is one that may be served now.
    #[inline]
    pub(crate) fn hit<Q: KeyForm<K>>(&self, key: &Q) -> Option<V> {
        let now = self.info.lease.valid_at(&self.info.clock, self.info.config.ttl.is_some())?;
        let stored = self.entries.get(&Probe::new(key))?;
        if stored.expires <= now {
            return None;
        }
        self.info.counters.hit();
        Some(stored.value)
    }

    /// For a caller who missed: what to do about it.
    pub(crate) fn begin<Q: KeyForm<K>>(self: &Arc<Self>, key: &Q, manner: Manner) -> Begun<K, V> {
        let info = &self.info;
        let Some(now) = info.lease.valid_at(&info.clock, info.config.ttl.is_some()) else { return Begun::Alone };
        if info.config.evict_only || info.key_codec_is_bad() {
            return Begun::Alone;
        }
        let hash = hash_of::<K, Q, _>(&self.hasher, key);
        let mut expired = None;
        let mut stripe = self.stripe(hash);
        if manner == Manner::Shared
            && let Some(flight) = stripe.joinable(hash, key)
        {
            return Begun::Wait(flight.clone());
        }
        // A load may have ended between the caller's look and the lock.
        if manner != Manner::ByHand
            && let Some(stored) = self.entries.get(&Probe::new(key))
        {
            if stored.expires > now {
                info.counters.hit();
                return Begun::Hit(stored.value);
            }
            count(&info.counters.expired, 1);
            expired = self.entries.remove(&Probe::new(key));
        }
        if self.is_held(&stripe, hash, key) {
            return Begun::Alone;
        }
        let key = key.to_key();
        let flight = Flight::new();
        stripe.issue(hash, key.clone(), &flight, manner == Manner::Shared);
        drop(stripe);
        discard(expired);
        let lead = Lead { store: self.clone(), hash, flight, open: true };
        if !info.key_survives_the_wire(&key) {
            // Dropping the lead wakes whoever joined in the meantime.
            return Begun::Alone;
        }
        Begun::Lead(lead)
    }

    /// Evicts a key: nothing that was loaded before this is left when it returns.
    pub(crate) fn evict(&self, key: &K, hold: Duration) {
        let hash = self.hasher.hash_one(key);
        let mut stripe = self.stripe(hash);
        let overtaken = stripe.overtake(hash, key);
        let removed = self.entries.remove(key);
        if !hold.is_zero() {
            let now = self.info.clock.now();
            let until = now.after(hold);
            if !stripe.hold(hash, key, until, now) {
                // So many keys are held that all may as well be.
                self.info.hold_all(until);
            }
        }
        drop(stripe);
        discard(overtaken);
        discard(removed);
    }

    /// Evicts every key.
    pub(crate) fn evict_all(&self, hold: Duration) {
        if !hold.is_zero() {
            self.info.hold_all(self.info.clock.now().after(hold));
        }
        for stripe in &self.stripes {
            let overtaken = lock(stripe).overtake_all();
            discard(overtaken);
        }
        // Not `clear`: it drops the values under the shard's lock.
        self.entries.drain().for_each(discard);
    }

    /// Evicts every entry that carries one of these tags; until entries have tags, all.
    pub(crate) fn evict_tags(&self, tags: &[Tag], hold: Duration) {
        if !tags.is_empty() {
            self.evict_all(hold);
        }
    }

    /// Whether the entry of a key, if there is one, carries a tag for which this is true.
    #[expect(clippy::unused_self, reason = "until entries have tags")]
    pub(crate) fn carries_any<Q: KeyForm<K>>(&self, key: &Q, is_pending: impl Fn(&Tag) -> bool) -> bool {
        _ = (key, is_pending);
        false
    }

    /// Stores a value that is newer than everything loaded so far, by a put that took its ticket before; whether it was
    /// kept.
    ///
    /// If it was overtaken since, by an eviction or by another put, the order of the two is not known: the key is left
    /// absent.
    pub(crate) fn put_reserved(&self, mut lead: Lead<K, V>, key: K, value: V) -> bool {
        let info = &self.info;
        let keepable = info.key_survives_the_wire(&key) && info.lease.valid_at(&info.clock, false).is_some();
        let hash = self.hasher.hash_one(&key);
        let mut stripe = self.stripe(hash);
        lead.open = false;
        let in_time = stripe.redeem(hash, &lead.flight).is_some();
        let kept = in_time && keepable && !self.is_held(&stripe, hash, &&key);
        let overtaken = stripe.overtake(hash, &key);
        let removed = self.entries.remove(&key);
        if kept {
            let displaced = self.insert(key, value, stripe);
            discard(displaced);
        } else {
            drop(stripe);
            discard((key, value));
        }
        discard(overtaken);
        discard(removed);
        kept
    }

    /// Lets nobody join this load any more: the next caller who misses the key leads.
    pub(super) fn detach(&self, key: &K, flight: &Arc<Flight<V>>) {
        let hash = self.hasher.hash_one(key);
        self.stripe(hash).detach(hash, flight);
    }

    fn is_held<Q: KeyForm<K>>(&self, stripe: &Stripe<K, V>, hash: u64, key: &Q) -> bool {
        let now = || self.info.clock.now();
        let all_held_until = Moment(self.info.all_held_until.load(Ordering::Acquire));
        (all_held_until > Moment::PAST && all_held_until > now()) || stripe.is_held(hash, key, now)
    }

    /// Inserts under the stripe's lock and releases it; what is returned is to be dropped.
    fn insert(&self, key: K, value: V, stripe: MutexGuard<'_, Stripe<K, V>>) -> Vec<(K, Stored<V>)> {
        let expires = self.info.config.ttl.map_or(Moment::NEVER, |ttl| self.info.clock.now().after(ttl));
        let mut displaced = Vec::new();
        self.entries.insert_with_lifecycle(key, Stored { value, expires }, &mut displaced);
        drop(stripe);
        count(&self.info.counters.displaced, displaced.len());
        displaced
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn stripe(&self, hash: u64) -> MutexGuard<'_, Stripe<K, V>> {
        // The high bits: the low ones choose the place within hash tables.
        let stripe = usize::try_from(hash >> 48).unwrap_or(0) % STRIPES;
        lock(&self.stripes[stripe])
    }
}

/// Drops keys and values of the user's when no lock is held, since their `Drop` may use the cache. Should it panic, that
/// is the end of that value and not of the eviction, of which others have yet to hear.
fn discard<T>(leftover: T) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(leftover))).is_err() {
        tracing::error!("a key or value that left a cache panicked in its `Drop`");
    }
}

/// A panic under the lock can only come from a key's `Eq` or `Clone`; the tables are consistent between steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The leader of a load: it runs the body, and holds the ticket to keep the value.
///
/// Dropped without [`keep`](Self::keep) or [`land`](Self::land), as happens when the load is cancelled or panics, it
/// gives the ticket back and wakes those who wait, one of whom leads next (rule R9).
pub(crate) struct Lead<K: Key, V: Value> {
    store: Arc<Store<K, V>>,
    hash: u64,
    flight: Arc<Flight<V>>,
    /// Whether the ticket may still be out and the end of the flight is still to be stated.
    open: bool,
}

impl<K: Key, V: Value> Lead<K, V> {
    /// Keeps the value, unless an eviction overtook the load; either way it answers those who waited.
    pub(crate) fn keep(mut self, value: V) -> bool {
        let store = &self.store;
        let mut stripe = store.stripe(self.hash);
        let key = stripe.redeem(self.hash, &self.flight);
        // With the ticket gone nobody else can join, so the count can only fall; 1 means that nobody waits, and
        // the value need not be cloned.
        let answer = (Arc::strong_count(&self.flight) > 1).then(|| value.clone());
        let kept = key.is_some();
        if let Some(key) = key {
            // A separate load may come second to another one that is just as fresh.
            let replaced = store.entries.remove(&key);
            let displaced = store.insert(key, value, stripe);
            discard((replaced, displaced));
        } else {
            drop(stripe);
            count(&store.info.counters.not_kept, 1);
        }
        // Had code of the user's panicked before, `Drop` would have woken those who wait.
        self.open = false;
        if let Some(answer) = answer {
            self.flight.land(Outcome::Value(answer));
        }
        kept
    }

    /// The load came back with nothing to keep.
    pub(crate) fn land(mut self, outcome: Outcome<V>) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome<V>) {
        if std::mem::take(&mut self.open) {
            let key = self.store.stripe(self.hash).redeem(self.hash, &self.flight);
            drop(key);
            self.flight.land(outcome);
        }
    }

    pub(crate) fn store(&self) -> &Arc<Store<K, V>> {
        &self.store
    }
}

impl<K: Key, V: Value> Drop for Lead<K, V> {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}
