//! The clock that decides when an entry expires and when a lease runs out.
//!
//! Invariant: it never goes back. It is read on the hit path, so on Linux it is the kernel's coarse monotonic clock
//! (8 ns a read, advancing every 1 to 4 ms) and not [`std::time::Instant`] (30 ns). Architecture invariant: no task
//! ticks it; a blocked runtime or a stopped process must not freeze it.
//!
//! It does not count the time while the machine is suspended. The clock that does, boot time, has no coarse form; when that is
//! read is up to the [`lease`](crate::lease).

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::sync::atomic::{AtomicU64, Ordering};

/// A moment, in nanoseconds since some fixed start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// Later than every moment that a clock shows.
    pub(crate) const NEVER: Self = Self(u64::MAX);
    /// Earlier than every moment that a clock shows.
    pub(crate) const PAST: Self = Self(0);

    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A clock that moves only when told to, for tests of what depends on an entry's age.
///
/// Clones show the same time. [`suspend`](Self::suspend) is what it takes to test a machine that sleeps.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use std::time::Duration;
///
/// use cachesync::{CacheConfig, ManualClock, Registry};
///
/// let clock = ManualClock::new();
/// let registry = Registry::builder()
///     .cache(CacheConfig::new("rates").ttl(Duration::from_secs(60)))
///     .clock(clock.clone())
/// #   .unknown_caches(cachesync::UnknownCaches::Bypass)
///     .start()
///     .await?;
/// let rates = registry.cache::<String, f64>("rates")?;
/// rates.insert("EUR".into(), 1.09);
/// clock.advance(Duration::from_secs(59));
/// assert_eq!(rates.get("EUR"), Some(1.09));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(rates.get("EUR"), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    /// What the wall clock showed when this one was made, in milliseconds since the Unix epoch.
    made: u64,
    now: AtomicU64,
    /// How long the machine was suspended.
    suspended: AtomicU64,
    /// How far it moves whenever somebody looks at it.
    #[cfg(test)]
    each_look: std::sync::atomic::AtomicU64,
}

impl ManualClock {
    /// A clock that stands still.
    pub fn new() -> Self {
        Self::starting_at(SystemTime::now())
    }

    /// One that stands still at this time of day, which only [signed messages](crate::SharedKeys) know; others are compared
    /// with what the clock shows, however it got there.
    pub fn starting_at(wall: SystemTime) -> Self {
        Self(Arc::new(Hands {
            made: unix_millis(wall),
            now: AtomicU64::new(1),
            suspended: AtomicU64::new(0),
            #[cfg(test)]
            each_look: std::sync::atomic::AtomicU64::default(),
        }))
    }

    /// Moves the clock ahead.
    pub fn advance(&self, by: Duration) {
        add(&self.0.now, by);
    }

    /// Lets the machine be suspended for this long: entries do not grow older, and the
    /// [lease](crate::RegistryBuilder::lease) does. But for one nanosecond: as with a kernel's, no moment from before is
    /// shown again.
    pub fn suspend(&self, by: Duration) {
        let awake = by.min(Duration::from_nanos(1));
        add(&self.0.now, awake);
        add(&self.0.suspended, by.saturating_sub(awake));
    }

    #[cfg(test)]
    pub(crate) fn advance_at_each_look(&self, by: Duration) {
        self.0.each_look.store(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        #[cfg(test)]
        if let each_look @ 1.. = self.0.each_look.load(Ordering::SeqCst) {
            self.0.now.fetch_add(each_look, Ordering::SeqCst);
        }
        self.0.now.load(Ordering::SeqCst)
    }

    fn boot(&self) -> u64 {
        self.now().saturating_add(self.0.suspended.load(Ordering::SeqCst))
    }
}

fn add(time: &AtomicU64, by: Duration) {
    time.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

fn unix_millis(wall: SystemTime) -> u64 {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Clone)]
pub(crate) enum Clock {
    System,
    Manual(ManualClock),
}

impl Clock {
    /// The wall clock, in milliseconds since the Unix epoch. People set it, and other nodes' clocks show another time.
    pub(crate) fn unix_millis(&self) -> u64 {
        match self {
            Self::System => unix_millis(SystemTime::now()),
            Self::Manual(clock) => clock.0.made.saturating_add(clock.boot() / 1_000_000),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            Self::System => Moment(system::monotonic()),
            Self::Manual(clock) => Moment(clock.now()),
        }
    }

    /// The same with the time while the machine was suspended, by a clock of its own: never to be compared with
    /// [`now`](Self::now). Where there is no such clock, without that time.
    pub(crate) fn boot(&self) -> Moment {
        match self {
            Self::System => Moment(system::boot()),
            Self::Manual(clock) => Moment(clock.boot()),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Manual(_) => "Manual",
        })
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    #[inline]
    pub(super) fn monotonic() -> u64 {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        // It counts from boot and is not negative.
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    }

    pub(super) fn boot() -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{sync::OnceLock, time::Instant};

    pub(super) fn monotonic() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed().as_nanos();
        // About a millisecond, as coarse as on Linux: hits that find the same moment share what they know of it.
        u64::try_from(elapsed >> 20 << 20).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub(super) fn boot() -> u64 {
        monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_does_not_go_back_and_is_later_than_the_past() {
        let first = Clock::System.now();
        assert!(first > Moment::PAST && first < Moment::NEVER);
        assert!(Clock::System.now() >= first);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn boot_time_goes_on_with_the_monotonic_clock() {
        let before = Clock::System.boot();
        assert!(before > Moment::PAST);
        std::thread::sleep(Duration::from_millis(20));
        assert!(Clock::System.boot() >= before.after(Duration::from_millis(20)));
    }

    #[test]
    fn a_suspended_machine_has_a_boot_time_that_goes_on_and_a_monotonic_one_that_hardly_does() {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        let before = (clock.now(), clock.boot());
        manual.suspend(Duration::from_secs(3));
        assert_eq!(clock.now().0, before.0.0 + 1);
        assert_eq!(clock.boot(), before.1.after(Duration::from_secs(3)));
    }

    #[test]
    fn a_moment_saturates() {
        assert_eq!(Moment(5).after(Duration::MAX).0, u64::MAX);
        assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
    }
}
