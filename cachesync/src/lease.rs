//! The lease: until when this node may answer from its caches.
//!
//! A node with a backend holds a lease that only its own heartbeat, come back through the broker, renews (rule R6): a
//! node that sees its heartbeat of time `t` has applied every eviction that was confirmed before `t`, so it may serve
//! until `t` plus the lease's length. A node without a backend has nobody to hear from; its lease never ends.
//!
//! A cache that [serves stale values](OnPartition::ServeStale) reads another end, which is never. So which policy a cache
//! has costs its hits nothing but the place where they read.
//!
//! # Machines that sleep
//!
//! The end of a lease is a moment of boot time, which counts on while the machine is suspended. Reading that clock
//! makes a hit slower by 22 ns of 30. So a hit compares the end with two coarse clocks: the monotonic one, and that of the
//! wall, which a suspended machine finds moved on before any of its processes runs again. If the latter says that the lease is
//! over, somebody may have set it, and boot time decides.
//!
//! Both are compared once for each moment that the coarse monotonic clock shows, which lasts 1 to 4 ms; hits of the same moment
//! find it noted that the lease is valid then, which is one comparison. Two looks that find the same moment have no sleep between
//! them: the kernel moves that clock on to the exact time as it goes to sleep (Linux, `timekeeping_suspend`), after the last
//! process has run, so no moment from before is shown again. And an end is never moved back but by closing, which takes the
//! note away for good.
//!
//! So between waking up and the first task that runs, nothing is served that must not be. What is left: that somebody sets the
//! wall clock back by as much as the machine then sleeps, between two heartbeats.
//!
//! Invariant: once closed, a lease is never valid again, under no policy.

use std::{future::poll_fn, task::Poll, time::Duration};

use crate::{
    clock::{Clock, Moment},
    config::OnPartition,
    mutation::Mutation,
    sync::{
        Notify,
        atomic::{AtomicU64, Ordering},
    },
};

const CLOSED: u64 = 0;
/// Not closed, but not valid at any moment either.
const NOT_YET: u64 = 1;
/// In place of a moment at which a lease was found to be valid: it is closed. No clock shows it.
const NEVER_AGAIN: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Lease {
    /// By the number of the policy: the end that heartbeats move, and one that is never unless it is closed.
    until: [AtomicU64; 2],
    /// The same end by boot time, which is what counts.
    by_boot: AtomicU64,
    /// The same end by the wall clock, for as long as nobody sets that.
    by_wall: AtomicU64,
    /// By the number of the policy: the moment, by the monotonic clock, at which the lease was last found to be valid.
    found_valid: [AtomicU64; 2],
    /// Boot time then, or earlier.
    found_valid_by_boot: AtomicU64,
    /// Whether it has no end under any policy, until it is closed.
    endless: bool,
    length: Duration,
    /// Wakes those who wait for it to be closed.
    closing: Notify,
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

    /// Whether it has no end until it is closed, under any policy.
    pub(crate) fn is_endless(&self) -> bool {
        self.endless
    }

    fn until(until: u64, length: Duration) -> Self {
        Self {
            until: [AtomicU64::new(until), AtomicU64::new(Moment::NEVER.0)],
            by_boot: AtomicU64::new(NOT_YET),
            by_wall: AtomicU64::new(NOT_YET),
            found_valid: [AtomicU64::new(0), AtomicU64::new(0)],
            endless: until == Moment::NEVER.0,
            found_valid_by_boot: AtomicU64::new(Moment::PAST.0),
            length,
            closing: Notify::new(),
        }
    }

    /// How long it lasts without being renewed; also of one that is endless.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// The end that heartbeats move.
    fn moving(&self) -> &AtomicU64 {
        &self.until[OnPartition::Bypass.place()]
    }

    /// Renews, as of a moment of [boot time](Clock::boot) that may be long past; never shortens, and does nothing to a
    /// closed lease. One task does this.
    pub(crate) fn renew(&self, clock: &Clock, since: Moment) {
        let end = since.after(self.length);
        // Boot time last: should the process be stopped between two of these, the ends by the other clocks are too early by
        // that time, and not too late.
        let (now, wall) = (clock.now(), clock.wall());
        let left = end.since(clock.boot());
        if left.is_zero() {
            return;
        }
        let until = now.after(left);
        // Release: whoever sees the new end by any of the clocks also sees the evictions that were applied before the renewal.
        // Who sees it by one clock and not yet by another is bounded by the old end as well.
        self.by_boot.fetch_max(end.0, Ordering::Release);
        self.by_wall.store(wall.after(left).0, Ordering::Release);
        let _ = self.moving().fetch_update(Ordering::Release, Ordering::Relaxed, |current| {
            (current != CLOSED && current < until.0).then_some(until.0)
        });
    }

    /// Ends the lease for good.
    pub(crate) fn close(&self) {
        self.until.iter().for_each(|until| until.store(CLOSED, Ordering::Release));
        // After this no moment is noted any more: who is about to note one finds this in its place.
        self.found_valid.iter().for_each(|found| found.store(NEVER_AGAIN, Ordering::Release));
        self.closing.notify_waiters();
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) {
        let closing = self.closing.notified();
        // Before looking, so that a closing in between is not missed.
        tokio::pin!(closing);
        closing.as_mut().enable();
        poll_fn(|context| if self.is_closed() { Poll::Ready(()) } else { closing.as_mut().poll(context) }).await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.moving().load(Ordering::Acquire) == CLOSED
    }

    /// The moment at which the lease was found to be valid under this policy, or `None`.
    ///
    /// The clock is not read if `timed` is false, which it may be of an [endless](Self::is_endless) lease alone.
    ///
    /// The check must come before the cache is read. The other way round a reader could take an old value, be
    /// overtaken by eviction and renewal, and then find the lease valid.
    // Part of each hit, and called in two places.
    #[expect(clippy::inline_always, reason = "a call costs a tenth of it")]
    #[inline(always)]
    pub(crate) fn valid_at(&self, policy: OnPartition, clock: &Clock, timed: bool) -> Option<Moment> {
        if !timed {
            return (self.until[policy.place()].load(Ordering::Acquire) != CLOSED).then_some(Moment::PAST);
        }
        let now = clock.now();
        // Acquire, of what was noted by one who saw the end: so the evictions that were applied before the renewal are seen here,
        // too.
        let noted = self.found_valid[policy.place()].load(Ordering::Acquire) == now.0;
        (noted || self.is_valid(policy, now, clock)).then_some(now)
    }

    /// Whether the lease is valid at this moment; notes it if so.
    #[cold]
    fn is_valid(&self, policy: OnPartition, now: Moment, clock: &Clock) -> bool {
        let until = self.until[policy.place()].load(Ordering::Acquire);
        if Mutation::ServePastTheLease.is_on() && until > NOT_YET {
            return true;
        }
        let boot = clock.boot();
        let awake = || clock.wall().0 < self.by_wall.load(Ordering::Acquire) || self.is_valid_since_boot(clock);
        let valid = now.0 < until && (until == Moment::NEVER.0 || Mutation::IgnoreSleep.is_on() || awake());
        let note = |noted| (noted != NEVER_AGAIN).then_some(now.0);
        if valid {
            // In no order with the other: whoever finds an older one thinks that it is older than it is.
            self.found_valid_by_boot.store(boot.0, Ordering::Relaxed);
        }
        valid && self.found_valid[policy.place()].fetch_update(Ordering::AcqRel, Ordering::Acquire, note).is_ok()
    }

    /// [Boot time](Clock::boot) at the moment `now`, of which [`valid_at`](Self::valid_at) says that the lease is valid, or
    /// somewhat earlier; [`Moment::PAST`] of a lease that is endless.
    ///
    /// Nobody needs to look at that clock: it was looked at when the wall clock was.
    pub(crate) fn boot_at(&self, now: Moment, clock: &Clock) -> Moment {
        if self.endless {
            Moment::PAST
        } else if self.found_valid.iter().any(|found| found.load(Ordering::Relaxed) == now.0) {
            Moment(self.found_valid_by_boot.load(Ordering::Relaxed))
        } else {
            clock.boot()
        }
    }

    #[cold]
    fn is_valid_since_boot(&self, clock: &Clock) -> bool {
        clock.boot().0 < self.by_boot.load(Ordering::Acquire)
    }

    /// How much is left of it; `None` if it has no limit.
    pub(crate) fn left(&self, clock: &Clock) -> Option<Duration> {
        let until = Moment(self.moving().load(Ordering::Acquire));
        if until == Moment::NEVER {
            return None;
        }
        let by_boot = Moment(self.by_boot.load(Ordering::Relaxed));
        Some(until.since(clock.now()).min(by_boot.since(clock.boot())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const LENGTH: Duration = Duration::from_secs(10);

    /// A clock, and a lease that began now.
    fn fresh() -> (ManualClock, Clock, Lease) {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        let lease = Lease::not_yet(LENGTH);
        lease.renew(&clock, clock.boot());
        (manual, clock, lease)
    }

    fn is_valid(lease: &Lease, clock: &Clock) -> bool {
        lease.valid_at(OnPartition::Bypass, clock, !lease.is_endless()).is_some()
    }

    #[test]
    fn a_lease_is_valid_up_to_its_end_and_is_never_shortened() {
        let (manual, clock, lease) = fresh();
        assert!(!is_valid(&Lease::not_yet(LENGTH), &clock));
        manual.advance(LENGTH / 2);
        let earlier = clock.boot();
        manual.advance(LENGTH / 4);
        lease.renew(&clock, clock.boot());
        lease.renew(&clock, earlier);
        manual.advance(LENGTH.saturating_sub(Duration::from_nanos(1)));
        assert!(is_valid(&lease, &clock));
        assert_eq!(lease.left(&clock), Some(Duration::from_nanos(1)));
        manual.advance(Duration::from_nanos(1));
        assert!(!is_valid(&lease, &clock));
        assert_eq!(lease.left(&clock), Some(Duration::ZERO));
    }

    #[test]
    fn a_process_that_is_stopped_while_it_renews_does_not_serve_for_longer() {
        let (manual, clock, lease) = fresh();
        let sent = clock.boot();
        manual.advance_at_each_look(LENGTH / 10);
        lease.renew(&clock, sent);
        manual.advance_at_each_look(Duration::ZERO);
        manual.advance(LENGTH.saturating_sub(clock.boot().since(sent)));
        assert!(!is_valid(&lease, &clock));
    }

    #[test]
    fn a_lease_runs_out_while_the_machine_is_suspended() {
        let (manual, clock, lease) = fresh();
        manual.advance(LENGTH / 2);
        manual.suspend(LENGTH / 4);
        assert!(is_valid(&lease, &clock));
        let sent = clock.boot();
        manual.suspend(LENGTH / 4);
        assert!(!is_valid(&lease, &clock), "half of it awake, half of it asleep");
        assert_eq!(lease.left(&clock), Some(Duration::ZERO));
        lease.renew(&clock, sent);
        assert_eq!(lease.left(&clock), Some(LENGTH / 4 * 3));
        assert!(is_valid(&lease, &clock));
        manual.suspend(LENGTH);
        lease.renew(&clock, sent);
        assert!(!is_valid(&lease, &clock), "a heartbeat from before");
    }

    #[test]
    fn a_wall_clock_that_is_set_ahead_ends_no_lease() {
        let (manual, clock, lease) = fresh();
        manual.set_wall_clock_ahead(LENGTH * 100);
        assert!(is_valid(&lease, &clock));
        manual.advance(LENGTH);
        assert!(!is_valid(&lease, &clock));
        lease.renew(&clock, clock.boot());
        assert!(is_valid(&lease, &clock));
        manual.suspend(LENGTH);
        assert!(!is_valid(&lease, &clock));
    }

    #[test]
    fn boot_time_at_which_a_lease_was_valid_is_known_and_never_later_than_it_was() {
        let (manual, clock, lease) = fresh();
        let look = || (lease.valid_at(OnPartition::Bypass, &clock, true).unwrap(), clock.boot());
        let (now, boot) = look();
        assert_eq!(lease.boot_at(now, &clock), boot);
        manual.advance(LENGTH / 4);
        assert!(lease.boot_at(clock.now(), &clock) == clock.boot(), "nobody has looked since");
        let (now, boot) = look();
        manual.suspend(LENGTH / 4);
        assert_eq!(lease.boot_at(now, &clock), boot, "before the machine slept");
        assert_eq!(Lease::endless(LENGTH).boot_at(now, &clock), Moment::PAST);
    }

    #[test]
    fn a_closed_lease_stays_closed() {
        let lease = Lease::endless(LENGTH);
        assert!(is_valid(&lease, &Clock::System));
        lease.close();
        lease.renew(&Clock::System, Clock::System.boot());
        assert!(!is_valid(&lease, &Clock::System));
        assert!(lease.is_closed());
    }

    #[test]
    fn who_serves_stale_values_does_so_until_the_lease_is_closed() {
        let lease = Lease::not_yet(LENGTH);
        let serves = |policy| lease.valid_at(policy, &Clock::System, true).is_some();
        assert!(serves(OnPartition::ServeStale) && !serves(OnPartition::Bypass));
        lease.renew(&Clock::System, Moment::PAST);
        assert!(serves(OnPartition::ServeStale) && !serves(OnPartition::Bypass));
        lease.close();
        assert!(!serves(OnPartition::ServeStale) && !serves(OnPartition::Bypass));
    }
}
