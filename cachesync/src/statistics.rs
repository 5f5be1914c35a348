//! Counters, and what they say.
//!
//! Hits are counted on the hit path, and loads by every miss, by every thread, so each thread has its own cache line to count
//! on, and as long as nobody else writes there it needs no locked instruction. Everything else happens seldom and is counted
//! in plain shared atomics. All orderings are relaxed: a counter orders nothing, and a snapshot is not a moment in time.

use std::{
    cell::{Cell, OnceCell},
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use serde::Serialize;

/// How many threads have a stripe of their own.
const OWNED: usize = 31;
/// The stripe of all other threads.
const SHARED: usize = OWNED;

#[derive(Default)]
#[repr(align(128))]
struct Stripe {
    hits: AtomicU64,
    loads: AtomicU64,
}

/// Counters that many threads can count on at once.
#[derive(Default)]
struct Stripes([Stripe; OWNED + 1]);

impl Stripes {
    #[inline]
    fn add(&self, by: u64, to: impl Fn(&Stripe) -> &AtomicU64) {
        let stripe = STRIPE.get();
        if stripe < OWNED {
            // No other thread writes here, so nothing is lost between the two.
            let counter = to(&self.0[stripe]);
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        } else {
            self.add_shared(by, to);
        }
    }

    #[cold]
    fn add_shared(&self, by: u64, to: impl Fn(&Stripe) -> &AtomicU64) {
        if STRIPE.get() == UNKNOWN {
            STRIPE.set(own_stripe());
            self.add(by, to);
        } else {
            to(&self.0[SHARED]).fetch_add(by, Ordering::Relaxed);
        }
    }

    fn sum(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        self.0.iter().map(|stripe| of(stripe).load(Ordering::Relaxed)).sum()
    }
}

const UNKNOWN: usize = usize::MAX;

thread_local! {
    /// The stripe of this thread, of all counters: its own, [`SHARED`], or not known yet.
    static STRIPE: Cell<usize> = const { Cell::new(UNKNOWN) };
}

/// The stripes that no thread owns. Who takes one from here sees, by the lock, what its last owner has counted.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// A stripe for this thread: one that nobody owns until the thread ends, or the one that is shared.
fn own_stripe() -> usize {
    /// Gives the stripe back when the thread ends.
    struct Owner(usize);

    impl Drop for Owner {
        fn drop(&mut self) {
            // What is counted by destructors that run after this one is counted with the others'.
            STRIPE.set(SHARED);
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
        }
    }

    thread_local! {
        static OWNER: OnceCell<Owner> = const { OnceCell::new() };
    }
    static TAKEN: AtomicUsize = AtomicUsize::new(0);

    let free = || FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let fresh =
        || TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < OWNED).then_some(taken + 1)).ok();
    let Some(stripe) = free().or_else(fresh) else { return SHARED };
    if OWNER.try_with(|owner| _ = owner.set(Owner(stripe))).is_err() {
        // The thread is ending, and its destructor has run.
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(stripe);
        return SHARED;
    }
    stripe
}

/// What one cache counts.
#[derive(Default)]
pub(crate) struct Counters {
    striped: Stripes,
    pub(crate) shared: AtomicU64,
    pub(crate) not_kept: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) evicted_by_others: AtomicU64,
    pub(crate) cleared: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) displaced: AtomicU64,
}

impl Counters {
    #[inline]
    pub(crate) fn hit(&self) {
        self.striped.add(1, |stripe| &stripe.hits);
    }

    #[inline]
    pub(crate) fn loads(&self, by: usize) {
        self.striped.add(by as u64, |stripe| &stripe.loads);
    }

    pub(crate) fn snapshot(&self, entries: usize) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: self.striped.sum(|stripe| &stripe.hits),
            loads: self.striped.sum(|stripe| &stripe.loads),
            shared: read(&self.shared),
            not_kept: read(&self.not_kept),
            evicted: read(&self.evicted),
            evicted_by_others: read(&self.evicted_by_others),
            cleared: read(&self.cleared),
            expired: read(&self.expired),
            displaced: read(&self.displaced),
            entries,
        }
    }
}

pub(crate) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

/// What a cache has counted since its registry started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// Answers from memory.
    pub hits: u64,
    /// Bodies run because the key was absent, or could not be answered from memory.
    pub loads: u64,
    /// Answers that another caller's load gave.
    pub shared: u64,
    /// Loads whose value was returned and not kept: overtaken by an eviction, inside a transaction, during a hold,
    /// past the lease, after `load_wait`.
    pub not_kept: u64,
    /// Keys and tags that this node evicted, whether they were present or not; an "all" counts as one.
    pub evicted: u64,
    /// The same, evicted by other nodes and by programs in other languages.
    pub evicted_by_others: u64,
    /// How often everything was removed because evictions may have been missed.
    pub cleared: u64,
    /// Entries found older than their ttl.
    pub expired: u64,
    /// Entries that made room for others.
    pub displaced: u64,
    /// Entries held now; some may have expired.
    pub entries: usize,
}

/// What a registry has counted since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RegistryStats {
    /// By name of the cache.
    pub caches: BTreeMap<String, CacheStats>,
    /// Frames sent and confirmed, heartbeats included.
    pub frames_sent: u64,
    /// Frames of other nodes that were applied.
    pub frames_applied: u64,
    /// JSON evictions that were applied.
    pub json_applied: u64,
    /// Messages that could not be understood.
    pub bad_messages: u64,
    /// Messages that were refused, where there are [shared keys](crate::RegistryBuilder::shared_keys): they changed nothing.
    pub refused: RefusedStats,
    /// Messages without a proof that were accepted all the same, see
    /// [`SharedKeys::accept_unsigned`](crate::SharedKeys::accept_unsigned).
    pub unsigned: u64,
    /// Sessions opened with the backend.
    pub sessions: u64,
    /// Those of them that resumed: what was missed was replayed, and nothing was cleared.
    pub resumed: u64,
    /// How often a frame was found to be missing, which clears what it may have concerned. A transport that keeps its
    /// promise has none.
    pub gaps: u64,
    /// How often the evictions of single keys and tags of a cache became that of all, since too many waited for the broker.
    pub overflows: u64,
}

/// Which messages were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RefusedStats {
    /// Without a proof.
    pub unsigned: u64,
    /// No message of cachesync's at all.
    pub malformed: u64,
    /// Signed, it says, by a key that this node does not know.
    pub unknown_key: u64,
    /// With a proof that is wrong: for another message, another namespace, by another secret.
    pub forged: u64,
    /// Authentic, and passed on to where its sender did not send it.
    pub misaddressed: u64,
    /// Authentic, and heard before; also what a node sends again after a lost session.
    pub replayed: u64,
    /// Authentic, and dated outside of the [window](crate::SharedKeys::window): clocks differ, or it was played back.
    pub out_of_time: u64,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is not signed")]
    Unsigned,
    #[error("it is no message of cachesync's")]
    Malformed,
    #[error("it is signed by an unknown key; give the sender one of this node's shared keys, or `accept` its key here")]
    UnknownKey,
    #[error(
        "its proof is wrong: it was tampered with, is of another namespace, or of another secret with the same number"
    )]
    Forged,
    #[error("it came to where its sender did not send it")]
    Misaddressed,
    #[error("it was heard before")]
    Replayed,
    #[error("its date is outside of the window")]
    OutOfTime,
}

#[derive(Default)]
pub(crate) struct RefusedCounters([AtomicU64; 7]);

impl RefusedCounters {
    /// Returns how many there were of this kind, with this one.
    pub(crate) fn count(&self, why: Refusal) -> u64 {
        self.0[why as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn snapshot(&self) -> RefusedStats {
        let read = |why: Refusal| self.0[why as usize].load(Ordering::Relaxed);
        RefusedStats {
            unsigned: read(Refusal::Unsigned),
            malformed: read(Refusal::Malformed),
            unknown_key: read(Refusal::UnknownKey),
            forged: read(Refusal::Forged),
            misaddressed: read(Refusal::Misaddressed),
            replayed: read(Refusal::Replayed),
            out_of_time: read(Refusal::OutOfTime),
        }
    }
}

/// What a node counts about its backend.
#[derive(Default)]
pub(crate) struct NodeCounters {
    pub(crate) frames_sent: AtomicU64,
    pub(crate) frames_applied: AtomicU64,
    pub(crate) json_applied: AtomicU64,
    pub(crate) bad_messages: AtomicU64,
    pub(crate) refused: RefusedCounters,
    pub(crate) unsigned: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) gaps: AtomicU64,
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Barrier},
        thread,
    };

    use super::*;

    #[test]
    fn hits_of_many_threads_are_all_counted() {
        let counters = Counters::default();
        // More than have a stripe of their own, and again on the stripes of those that have ended.
        for _ in 0..3 {
            let all_run = Barrier::new(2 * OWNED);
            thread::scope(|scope| {
                for _ in 0..2 * OWNED {
                    scope.spawn(|| {
                        counters.hit();
                        all_run.wait();
                        (1..1_000).for_each(|_| counters.hit());
                    });
                }
            });
        }
        assert_eq!(counters.snapshot(0).hits, 3 * 1_000 * 2 * OWNED as u64);
    }

    #[test]
    fn what_is_counted_while_a_thread_ends_is_counted() {
        struct CountsWhenDropped(Arc<Counters>);

        impl Drop for CountsWhenDropped {
            fn drop(&mut self) {
                self.0.hit();
            }
        }

        thread_local! {
            static EARLY: OnceCell<CountsWhenDropped> = const { OnceCell::new() };
            static LATE: OnceCell<CountsWhenDropped> = const { OnceCell::new() };
        }
        let counters = Arc::new(Counters::default());
        let of_thread = counters.clone();
        thread::spawn(move || {
            EARLY.with(|early| _ = early.set(CountsWhenDropped(of_thread.clone())));
            of_thread.hit();
            LATE.with(|late| _ = late.set(CountsWhenDropped(of_thread.clone())));
        })
        .join()
        .unwrap();
        assert_eq!(counters.snapshot(0).hits, 3);
    }
}
