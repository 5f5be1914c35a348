//! The clock that decides when an entry expires and when a lease runs out.
//!
//! Invariant: it never goes back. It is read on the hit path, so on Linux it is the kernel's coarse monotonic clock
//! (8 ns a read, advancing every 1 to 4 ms) and not [`std::time::Instant`] (30 ns). Architecture invariant: no task
//! ticks it; a blocked runtime or a stopped process must not freeze it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A moment, in nanoseconds since some fixed start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
/// Clones show the same time.
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
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands still.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1)))
    }

    /// Moves the clock ahead.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone)]
pub(crate) enum Clock {
    System,
    Manual(ManualClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            Self::System => Moment(system_nanos()),
            Self::Manual(clock) => Moment(clock.0.load(Ordering::SeqCst)),
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
#[inline]
fn system_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    // A monotonic clock counts from boot and is not negative.
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(not(target_os = "linux"))]
fn system_nanos() -> u64 {
    use std::{sync::OnceLock, time::Instant};

    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
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

    #[test]
    fn a_moment_saturates() {
        assert_eq!(Moment(5).after(Duration::MAX).0, u64::MAX);
        assert_eq!(Moment(5).since(Moment(9)), Duration::ZERO);
    }
}
