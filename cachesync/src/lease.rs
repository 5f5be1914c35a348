//! The lease: until when this node may answer from its caches.
//!
//! A node with a backend holds a lease that only its own heartbeat, come back through the broker, renews (rule R6): a
//! node that sees its heartbeat of time `t` has applied every eviction that was confirmed before `t`, so it may serve
//! until `t` plus the lease's length. A node without a backend has nobody to hear from; its lease never ends.
//!
//! A cache that [serves stale values](OnPartition::ServeStale) reads another end, which is never. So which policy a cache
//! has costs its hits nothing but the place where they read.
//!
//! Invariant: once closed, a lease is never valid again, under no policy.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    clock::{Clock, Moment},
    config::OnPartition,
};

const CLOSED: u64 = 0;
/// Not closed, but not valid at any moment either.
const NOT_YET: u64 = 1;

#[derive(Debug)]
pub(crate) struct Lease {
    /// By the number of the policy: the end that heartbeats move, and one that is never unless it is closed.
    until: [AtomicU64; 2],
    length: Duration,
}

impl OnPartition {
    /// Its place in a lease.
    #[inline]
    fn place(self) -> usize {
        self as usize
    }
}

impl Lease {
    /// A lease that lasts until it is closed.
    pub(crate) fn endless(length: Duration) -> Self {
        Self::until(Moment::NEVER.0, length)
    }

    /// A lease that has yet to be renewed for the first time.
    pub(crate) fn not_yet(length: Duration) -> Self {
        Self::until(NOT_YET, length)
    }

    fn until(until: u64, length: Duration) -> Self {
        Self { until: [AtomicU64::new(until), AtomicU64::new(Moment::NEVER.0)], length }
    }

    /// How long it lasts without being renewed; also of one that is endless.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// The end that heartbeats move.
    fn moving(&self) -> &AtomicU64 {
        &self.until[OnPartition::Bypass.place()]
    }

    /// Renews up to `until`; never shortens, and does nothing to a closed lease.
    pub(crate) fn renew(&self, until: Moment) {
        // Release: whoever sees the new end also sees the evictions that were applied before the renewal.
        let _ = self.moving().fetch_update(Ordering::Release, Ordering::Relaxed, |current| {
            (current != CLOSED && current < until.0).then_some(until.0)
        });
    }

    /// Ends the lease for good.
    pub(crate) fn close(&self) {
        self.until.iter().for_each(|until| until.store(CLOSED, Ordering::Release));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.moving().load(Ordering::Acquire) == CLOSED
    }

    /// The moment at which the lease was found to be valid under this policy, or `None`.
    ///
    /// Without a limit and without need for the time (`timed` is false) the clock is not read.
    ///
    /// The check must come before the cache is read. The other way round a reader could take an old value, be
    /// overtaken by eviction and renewal, and then find the lease valid.
    #[inline]
    pub(crate) fn valid_at(&self, policy: OnPartition, clock: &Clock, timed: bool) -> Option<Moment> {
        let until = self.until[policy.place()].load(Ordering::Acquire);
        if until == Moment::NEVER.0 && !timed {
            return Some(Moment::PAST);
        }
        let now = clock.now();
        (now.0 < until).then_some(now)
    }

    /// When it ends; `None` if it has no limit.
    pub(crate) fn ends_at(&self) -> Option<Moment> {
        let until = Moment(self.moving().load(Ordering::Acquire));
        (until != Moment::NEVER).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn a_lease_is_valid_up_to_its_end_and_is_never_shortened() {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        let lease = Lease::not_yet(LENGTH);
        assert!(lease.valid_at(OnPartition::Bypass, &clock, false).is_none());
        lease.renew(clock.now().after(Duration::from_secs(10)));
        lease.renew(clock.now().after(Duration::from_secs(3)));
        manual.advance(Duration::from_secs(9));
        assert!(lease.valid_at(OnPartition::Bypass, &clock, false).is_some());
        manual.advance(Duration::from_secs(1));
        assert!(lease.valid_at(OnPartition::Bypass, &clock, false).is_none());
    }

    #[test]
    fn a_closed_lease_stays_closed() {
        let lease = Lease::endless(LENGTH);
        assert!(lease.valid_at(OnPartition::Bypass, &Clock::System, true).is_some());
        lease.close();
        lease.renew(Moment::NEVER);
        assert!(lease.valid_at(OnPartition::Bypass, &Clock::System, false).is_none());
        assert!(lease.is_closed());
    }

    #[test]
    fn who_serves_stale_values_does_so_until_the_lease_is_closed() {
        let lease = Lease::not_yet(LENGTH);
        let serves = |policy| lease.valid_at(policy, &Clock::System, true).is_some();
        assert!(serves(OnPartition::ServeStale) && !serves(OnPartition::Bypass));
        lease.renew(Clock::System.now());
        assert!(serves(OnPartition::ServeStale) && !serves(OnPartition::Bypass));
        lease.close();
        assert!(!serves(OnPartition::ServeStale) && !serves(OnPartition::Bypass));
    }
}
