//! Echoes: evictions of unknown outcome, to be told a second time when their hold is over.
//!
//! Invariants:
//! - an echo is due no earlier than its hold is over, and later than that by a 64th of the hold or 250 ms at the most;
//!   those in between go out together, so that their number is bounded however long holds are;
//! - together they are as bounded as what waits now: of too much the largest cache's become "all of this cache".

use std::{collections::BTreeMap, time::Duration};

use cachesync_core::Name;
use tokio::time::Instant;

use super::{
    depth::OutboxDepth,
    waiting::{Waiting, is_too_much, largest},
};

/// Echoes that are due within this time, or a 64th of their hold, go out together.
const MIN_GRAIN: Duration = Duration::from_millis(250);
const GRAINS: u32 = 64;

#[derive(Default)]
pub(super) struct Echoes {
    due: BTreeMap<Instant, Waiting>,
    /// Of all of them.
    depth: OutboxDepth,
}

impl Echoes {
    /// Adds what is to be told again after `hold`; returns the caches that collapsed over it.
    #[must_use = "say so when no lock is held"]
    pub(super) fn add(&mut self, now: Instant, hold: Duration, add: impl FnOnce(&mut Waiting)) -> Vec<Name> {
        let (over, grain) = (now + hold, MIN_GRAIN.max(hold / GRAINS));
        let near = self.due.range(over..over + grain).next().map(|(near, _)| *near);
        let echo = self.due.entry(near.unwrap_or(over + grain)).or_default();
        self.depth -= echo.depth();
        add(echo);
        self.depth += echo.depth();
        let mut collapsed = Vec::new();
        while is_too_much(self.depth) {
            let Some(largest) = self.largest() else { break };
            for echo in self.due.values_mut() {
                self.depth -= echo.depth();
                echo.collapse(&largest, Duration::ZERO);
                self.depth += echo.depth();
            }
            collapsed.push(largest);
        }
        collapsed
    }

    /// The cache of which most is to be told.
    fn largest(&self) -> Option<Name> {
        let mut sums = BTreeMap::<_, OutboxDepth>::new();
        for (name, depth) in self.due.values().flat_map(Waiting::by_cache) {
            *sums.entry(name).or_default() += depth;
        }
        largest(sums.into_iter())
    }

    /// Takes the first that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Waiting> {
        let first = self.due.first_entry().filter(|first| *first.key() <= now)?;
        let echo = first.remove();
        self.depth -= echo.depth();
        Some(echo)
    }

    /// Takes the first, due or not, with the time until it is.
    pub(super) fn take_any(&mut self, now: Instant) -> Option<(Waiting, Duration)> {
        let (due, echo) = self.due.pop_first()?;
        self.depth -= echo.depth();
        Some((echo, due.saturating_duration_since(now)))
    }

    /// When the first is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(due, _)| *due)
    }

    /// How many keys, tags and whole caches are to be told again.
    pub(super) fn len(&self) -> usize {
        self.depth.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::waiting::{MAX_BYTES, MAX_KEYS},
        *,
    };
    use crate::cache::tags::Tag;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn holds_of_an_hour_make_few_echoes_that_together_are_bounded() {
        let (mut echoes, start, hold) = (Echoes::default(), Instant::now(), Duration::from_hours(1));
        let mut collapses = 0;
        for moment in 0..3_600u64 {
            let now = start + Duration::from_secs(moment);
            for number in 0..100 {
                let tag = Tag::new(&format_args!("{moment} {number}"));
                collapses += echoes.add(now, hold, |echo| echo.add_tag(&name("large"), tag, Duration::ZERO)).len();
            }
            drop(echoes.add(now, hold, |echo| echo.add_tag(&name("small"), Tag::new(&moment), Duration::ZERO)));
            assert!(!is_too_much(echoes.depth), "{:?}", echoes.depth);
            assert!(echoes.due.len() <= 66, "{}", echoes.due.len());
        }
        assert!((1..=3_600 * 100 / MAX_KEYS.min(50_000)).contains(&collapses), "{collapses}");

        let mut told = Waiting::default();
        while let Some(echo) = echoes.take_due(start + 3 * hold) {
            told.absorb(echo, Duration::ZERO);
        }
        assert_eq!((echoes.depth, echoes.len()), (OutboxDepth::default(), 0), "nothing piles up");
        let told = told.into_caches();
        assert_eq!(told[&name("large")].all, Some(Duration::ZERO));
        assert_eq!(told[&name("small")].tags.len(), 3_600, "the others are spared");
    }

    #[test]
    fn long_tags_are_bounded_over_all_echoes_by_their_bytes() {
        let (mut echoes, start) = (Echoes::default(), Instant::now());
        for second in 0..20u64 {
            for number in 0..1_000 {
                let tag = Tag::new(&format_args!("{second} {number:1000}"));
                let now = start + Duration::from_secs(second);
                drop(echoes.add(now, Duration::from_mins(1), |echo| echo.add_tag(&name("users"), tag, Duration::ZERO)));
            }
        }
        assert!(echoes.depth.bytes <= MAX_BYTES && echoes.depth.whole_caches > 0, "{:?}", echoes.depth);
    }

    #[test]
    fn an_echo_is_never_early_and_late_by_little() {
        let now = Instant::now();
        for hold in [5, 60, 3_600].map(Duration::from_secs) {
            let mut echoes = Echoes::default();
            drop(echoes.add(now, hold, |echo| echo.add_all(&name("users"), Duration::ZERO)));
            let late = Duration::from_millis(250).max(hold / 64);
            assert!(echoes.take_due(now + hold).is_none());
            assert!(echoes.take_due(now + hold + late).is_some());
        }
    }
    /// What is due soon after goes out together, and that must not bring any of it forward.
    #[test]
    fn echoes_that_go_out_together_are_never_early_and_late_by_little() {
        let (mut echoes, start) = (Echoes::default(), Instant::now());
        let mut over = BTreeMap::new();
        for number in 0..2_000u64 {
            let now = start + Duration::from_millis(7 * number);
            let hold = [5, 60, 61, 3_600].map(Duration::from_secs)[usize::try_from(number % 4).unwrap()];
            let tag = Tag::new(&number);
            over.insert(tag.clone(), (now + hold, Duration::from_millis(250).max(hold / 64)));
            drop(echoes.add(now, hold, |echo| echo.add_tag(&name("users"), tag, Duration::ZERO)));
        }
        assert!(echoes.due.len() <= 200, "{}", echoes.due.len());
        while let Some(due) = echoes.first_due() {
            let mut told = echoes.take_due(due).unwrap().into_caches();
            for (tag, _) in told.remove(&name("users")).unwrap().tags {
                let (over, grain) = over.remove(&tag).expect("each is told again once");
                assert!(due >= over && due <= over + grain, "{:?} after its hold", due.checked_duration_since(over));
            }
        }
        assert!(over.is_empty());
    }
}
