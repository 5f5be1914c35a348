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

use tokio::sync::Semaphore;

use super::{info::CacheInfo, nesting};
use crate::{mutation::Mutation, timer};

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
    /// As many as may be given out at the same time.
    pub(super) fn limit(loads: usize) -> Semaphore {
        Semaphore::new(loads.min(Semaphore::MAX_PERMITS))
    }

    /// Without waiting. `None` if the caller needs none.
    pub(crate) fn now(info: &Arc<CacheInfo>) -> Result<Option<Self>, Full> {
        Ok(Self::take_now(info)?.then(|| Self(Some(info.clone()))))
    }

    /// The same for who sees to it that it is [given back](Self::give_back); whether it has to be.
    pub(super) fn take_now(info: &CacheInfo) -> Result<bool, Full> {
        if nesting::is_within_cache(info.id) || info.lease.is_closed() {
            return Ok(false);
        }
        if Mutation::AdmitEverybody.is_on() {
            return Ok(false);
        }
        info.admissions.try_acquire().map_err(|_| Full)?.forget();
        Ok(true)
    }

    /// Leaves it to the caller to [give it back](Self::give_back).
    pub(super) fn hand_over(mut self) {
        self.0 = None;
    }

    pub(super) fn give_back(info: &CacheInfo) {
        info.admissions.add_permits(1);
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
            permit = info.admissions.acquire() => {
                // The semaphore is never closed.
                permit.ok()?.forget();
                Some(Self(Some(info.clone())))
            }
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
