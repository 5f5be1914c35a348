//! Chance: everything that a seed decides is drawn from here.
//!
//! The generator is a named algorithm and not `SmallRng` or `StdRng`, which may be another one in another release or on
//! another machine: a seed means the same run everywhere.

use std::{ops::Range, time::Duration};

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Dice for a part of the run, so that what one part draws does not shift what others do.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.0.random())
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.random()
    }

    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.0.random_range(range) }
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// True once in a thousand times `permille`.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.within(0..1000) < permille
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())].clone()
    }
}
