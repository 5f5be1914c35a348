//! Two things timed in turn, and the median of the ratios.
//!
//! Each round runs both once, in random order: at 100,000 keys who runs second finds the processor's caches full of the
//! other's entries. What disturbs the machine for longer than a round disturbs both, and what is shorter is an outlier that a
//! median does not see.

use std::{hint::black_box, sync::Barrier, thread, time::Duration};

use rand::random;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime;

use crate::numbers::{count, median, nanoseconds, quantile};

/// Keys at random, the same for all that is timed: a linear congruential generator, of which one step costs a nanosecond.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    state: u64,
    below: u64,
}

impl Keys {
    /// Keys below `below`, beginning anywhere.
    pub fn below(below: u64) -> Self {
        Self { state: random(), below }
    }

    /// The next key.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.state >> 33) * self.below) >> 31
    }
}

/// Runs a future on a runtime of its own, on this thread.
///
/// # Panics
///
/// If there can be no runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// By which clock calls are timed.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The processor time of the thread: who else uses the machine is not in it.
    Thread,
    /// That of the wall, where threads wait for each other.
    Wall,
}

impl Clock {
    /// How long `work` takes.
    ///
    /// # Panics
    ///
    /// If the system's clock is broken.
    pub async fn time(self, work: impl Future<Output = ()>) -> Duration {
        let now = || {
            let time = clock_gettime(match self {
                Self::Thread => ClockId::ThreadCPUTime,
                Self::Wall => ClockId::Monotonic,
            });
            Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
        };
        let started = now();
        work.await;
        now().checked_sub(started).expect("it does not go backwards")
    }
}

/// Calls `call` with `calls` keys, one after the other, and says how long that took.
#[inline]
pub async fn timed<F: Future>(clock: Clock, calls: u64, mut keys: Keys, call: impl Fn(u64) -> F) -> Duration {
    let work = async {
        for _ in 0..calls {
            black_box(call(black_box(keys.draw())).await);
        }
    };
    clock.time(work).await
}

/// How often what is timed.
#[derive(Debug, Clone, Copy)]
pub struct Rounds {
    /// How many rounds.
    pub rounds: u32,
    /// How many threads do the same at the same time.
    pub threads: usize,
    /// How many calls a sample has on each thread.
    pub calls: u64,
}

/// What each round took: nanoseconds a call of what was measured, and of its baseline.
pub type Samples = Vec<(f64, f64)>;

/// A ratio of two times.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// The median over the rounds.
    pub median: f64,
    /// Half of the rounds are between these.
    pub quartiles: (f64, f64),
    /// Nanoseconds a call of what was measured, and of its baseline: medians.
    pub nanoseconds: (f64, f64),
}

impl Ratio {
    /// Of what the rounds took.
    pub fn of(samples: &[(f64, f64)]) -> Self {
        let ratios: Vec<_> = samples.iter().map(|(subject, baseline)| subject / baseline).collect();
        let middle = |part: fn(&(f64, f64)) -> f64| median(&samples.iter().map(part).collect::<Vec<_>>());
        Self {
            median: median(&ratios),
            quartiles: (quantile(&ratios, 0.25), quantile(&ratios, 0.75)),
            nanoseconds: (middle(|sample| sample.0), middle(|sample| sample.1)),
        }
    }

    /// What a note says of it.
    pub fn note(&self) -> String {
        let ((low, high), (subject, baseline)) = (self.quartiles, self.nanoseconds);
        format!("{subject:.1} ns to {baseline:.1} ns; half of the rounds {low:.2} to {high:.2}")
    }
}

impl Rounds {
    /// Compares `subject` with `baseline`. Each is given how many calls to make, and says how long these took.
    ///
    /// # Panics
    ///
    /// If one of them does.
    pub fn compare(self, subject: impl Fn(u64) -> Duration + Sync, baseline: impl Fn(u64) -> Duration + Sync) -> Ratio {
        Ratio::of(&self.samples(subject, baseline))
    }

    /// What [`compare`](Self::compare) compares.
    ///
    /// # Panics
    ///
    /// If one of them does.
    pub fn samples(
        self,
        subject: impl Fn(u64) -> Duration + Sync,
        baseline: impl Fn(u64) -> Duration + Sync,
    ) -> Samples {
        let round = |_| {
            if random() {
                let subject = self.sample(&subject);
                (subject, self.sample(&baseline))
            } else {
                let baseline = self.sample(&baseline);
                (self.sample(&subject), baseline)
            }
        };
        (0..self.rounds).map(round).collect()
    }

    /// Nanoseconds a call, as the threads see it in the mean.
    fn sample(self, run: &(impl Fn(u64) -> Duration + Sync)) -> f64 {
        let all: Duration = if self.threads == 1 {
            run(self.calls)
        } else {
            let start = Barrier::new(self.threads);
            thread::scope(|scope| {
                let threads: Vec<_> = (0..self.threads)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            run(self.calls)
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
            })
        };
        nanoseconds(all) / count(self.calls) / count(self.threads as u64)
    }

    /// By which clock calls that wait for no other task are timed.
    pub fn clock(self) -> Clock {
        if self.threads == 1 { Clock::Thread } else { Clock::Wall }
    }

    /// How many calls [`compare`](Self::compare) makes of each of the two.
    pub fn calls_in_all(self) -> u64 {
        u64::from(self.rounds) * self.threads as u64 * self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_below_their_bound_and_reach_all_of_it() {
        let mut keys = Keys::below(10);
        let mut seen = [false; 10];
        (0..1_000).for_each(|_| seen[usize::try_from(keys.draw()).expect("small")] = true);
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn the_ratio_is_that_of_the_times_whatever_the_order_and_the_number_of_threads() {
        for threads in [1, 2] {
            let rounds = Rounds { rounds: 9, threads, calls: 10 };
            let ratio = rounds.compare(|_| Duration::from_micros(30), |_| Duration::from_micros(20));
            assert!((ratio.median - 1.5).abs() < 1e-9 && (ratio.quartiles.1 - 1.5).abs() < 1e-9, "{ratio:?}");
            assert!((ratio.nanoseconds.0 - 3_000.0).abs() < 1e-6, "{ratio:?}");
        }
    }

    #[test]
    fn the_time_of_a_thread_is_without_that_of_others() {
        let spin = || (0..3_000_000_u64).for_each(|number| _ = black_box(number));
        let mut own = Duration::ZERO;
        let wait = async { thread::spawn(spin).join().expect("no panic") };
        let wall = block_on(Clock::Wall.time(async { own = Clock::Thread.time(wait).await }));
        assert!(own < wall / 2, "{own:?} {wall:?}");
    }
}
