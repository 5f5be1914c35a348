//! Virtual time: tokio's paused clock, and the clock of each node moved along with it.
//!
//! Tokio's clock jumps to the next timer when nothing is left to do. It does so while its only thread is parked, so a
//! hook that runs when that ends moves the nodes' clocks before anybody can read them: a node never sees a clock that
//! lags behind the timers, or runs ahead of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use cachesync::ManualClock;
use tokio::{runtime::Runtime, time::Instant};

/// When runs begin, by the wall clocks of machines that have not slept: the same for all, or no run could be repeated.
const YEARS: Duration = Duration::from_hours(24 * 365 * 55);

/// The clocks of all nodes. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Clocks(Arc<Mutex<Hands>>);

#[derive(Default)]
struct Hands {
    start: Option<Instant>,
    last: Option<Instant>,
    /// With the node of each.
    clocks: Vec<(usize, ManualClock)>,
    /// How many faults let the machine of a node sleep: its monotonic clock stands still.
    asleep: BTreeMap<usize, u32>,
}

impl Clocks {
    /// A runtime whose time is these clocks'.
    pub(crate) fn runtime(&self) -> Runtime {
        let clocks = self.clone();
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_unpark(move || clocks.follow())
            .build()
            .expect("a runtime without I/O needs nothing that could be missing")
    }

    /// A clock for a node.
    pub(crate) fn clock(&self, node: usize) -> ManualClock {
        let clock = ManualClock::starting_at(SystemTime::UNIX_EPOCH + YEARS + self.elapsed());
        // It shows 1 ns when it is new; a node has been up for a while.
        clock.advance(Duration::from_secs(1000));
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.clocks.push((node, clock.clone()));
        clock
    }

    /// One reason more, or less, for a node's machine to sleep.
    pub(crate) fn sleeps(&self, node: usize, by: i32) {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = hands.asleep.entry(node).or_default();
        *asleep = asleep.wrapping_add_signed(by);
    }

    /// A node's clock says that its machine was suspended, although nobody noticed it.
    pub(crate) fn suspend(&self, node: usize, by: Duration) {
        let hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.clocks.iter().filter(|(of, _)| *of == node).for_each(|(_, clock)| clock.suspend(by));
    }

    /// Since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        let start = *self.0.lock().unwrap_or_else(PoisonError::into_inner).start.get_or_insert_with(Instant::now);
        start.elapsed()
    }

    fn follow(&self) {
        let now = Instant::now();
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = hands.last.replace(now).or(hands.start).unwrap_or(now);
        let passed = now - last;
        if !passed.is_zero() {
            for (node, clock) in &hands.clocks {
                let sleeps = hands.asleep.get(node).is_some_and(|reasons| *reasons > 0);
                if sleeps { clock.suspend(passed) } else { clock.advance(passed) }
            }
        }
    }
}
