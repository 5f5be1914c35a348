//! How many loads of a cache run at the same time.
//!
//! After a clear, or past the lease, every key is absent at once. Callers of one key share a load; this bounds how many keys
//! are loaded at the same time, so that what has befallen the broker does not befall the source.
//!
//! Who leads a load takes its ticket first and waits for admission then, so that others can join it meanwhile. Nobody who
//! waits can be in the way of somebody admitted for longer than `load_wait`, after which it loads all the same:
//! - a body that was admitted asks for nothing more for what it loads of the same cache within its task;
//! - it does not join a load that is yet to be admitted, which might wait for it;
//! - inside a transaction nobody waits: it holds a connection to the database, for which those who were admitted may wait.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{info::CacheInfo, nesting};
use crate::{
    mutation::Mutation,
    sync::atomic::{AtomicUsize, Ordering},
    timer,
};

/// How many more loads of a cache may run now.
///
/// A semaphore is fair to those who wait, and wakes them; it also takes a lock whenever something is given back. So as long as
/// nobody waits its permits are counted here, and only for those who wait they go into the semaphore.
///
/// Why nobody waits while there are permits: who waits says so *before* it moves those that are counted here into the semaphore,
/// and who gives one back counts it *before* it asks whether somebody waits. So one of the two sees the other, and moves it.
pub(crate) struct Admissions {
    free: AtomicUsize,
    waiting: AtomicUsize,
    semaphore: Semaphore,
}

impl Admissions {
    /// So many at the same time.
    pub(super) fn new(limit: usize) -> Self {
        let free = AtomicUsize::new(limit.min(Semaphore::MAX_PERMITS));
        Self { free, waiting: AtomicUsize::new(0), semaphore: Semaphore::const_new(0) }
    }

    /// Whether one was taken. Not past those who wait: what is given back is theirs.
    #[inline]
    fn take_now(&self) -> bool {
        let one_less = |free: usize| free.checked_sub(1);
        // The orderings matter between `free` and `waiting`, in `take` and `give_back`.
        let taken = self.waiting.load(Ordering::Relaxed) == 0
            && self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        taken || self.semaphore.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    /// Waits until one can be taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only the place in the queue is lost.
    async fn take(&self) {
        let _waiting = Waiting::among(&self.waiting);
        self.move_free();
        // The semaphore is never closed.
        if let Ok(permit) = self.semaphore.acquire().await {
            permit.forget();
        }
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.move_free();
        }
    }

    fn move_free(&self) {
        let free = self.free.swap(0, Ordering::SeqCst);
        if free > 0 {
            self.semaphore.add_permits(free);
        }
    }

    /// How many there are when nobody takes any.
    #[cfg(all(test, cachesync_shuttle))]
    pub(crate) fn left(&self) -> usize {
        self.free.load(Ordering::SeqCst) + self.semaphore.available_permits()
    }
}

/// One who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to run a body, given back when dropped.
///
/// `None` when that was left to somebody else.
pub(crate) struct Admission(Option<Arc<CacheInfo>>);

/// Whether a caller can wait to be admitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    Goes,
}

/// Somebody else has to end first.
pub(crate) struct Full;

impl Admission {
    /// Without waiting. `None` if the caller needs none.
    pub(crate) fn now(info: &Arc<CacheInfo>) -> Result<Option<Self>, Full> {
        Ok(Self::take_now(info)?.then(|| Self(Some(info.clone()))))
    }

    /// The same for who sees to it that it is [given back](Self::give_back); whether it has to be.
    #[inline]
    pub(super) fn take_now(info: &CacheInfo) -> Result<bool, Full> {
        if nesting::is_within_cache(info.id) || info.lease.is_closed() {
            return Ok(false);
        }
        if Mutation::AdmitEverybody.is_on() {
            return Ok(false);
        }
        if info.admissions.take_now() { Ok(true) } else { Err(Full) }
    }

    /// Leaves it to the caller to [give it back](Self::give_back).
    pub(super) fn hand_over(mut self) {
        self.0 = None;
    }

    pub(super) fn give_back(info: &CacheInfo) {
        info.admissions.give_back();
    }

    /// Waits for at most `load_wait`. `None` if the caller needs none, or goes without.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only the place in the queue is lost.
    pub(crate) async fn of(info: &Arc<CacheInfo>, patience: Patience) -> Option<Self> {
        match Self::now(info) {
            Ok(admission) => return admission,
            Err(Full) if patience == Patience::Goes => return None,
            Err(Full) => {}
        }
        tokio::select! {
            biased;
            () = info.admissions.take() => Some(Self(Some(info.clone()))),
            // Nobody is counted any more.
            () = info.lease.closed() => None,
            () = timer::elapsed(&info.runtime, &info.lease, info.config.load_wait) => {
                tracing::debug!(cache = %info.name, "waited too long to be admitted to load");
                None
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(info) = &self.0 {
            Self::give_back(info);
        }
    }
}
