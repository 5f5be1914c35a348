//! Which keys of a stripe are held: for loads of them that begin before a moment, nothing is kept.

use std::time::Duration;

use hashbrown::HashTable;

use super::erased::{AnyKey, Sought};
use crate::clock::Moment;

/// The most keys of one stripe that are held at the same time.
const MAX_HOLDS: usize = 4_096;
/// Holds of a stripe that is full of them are swept no more often than this, or each of a flood would cost a sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Holds {
    table: HashTable<Hold>,
    /// When the table has grown to this, the ended ones are swept out.
    sweep_at: usize,
    /// Not before this.
    next_sweep: Moment,
}

struct Hold {
    hash: u64,
    key: AnyKey,
    until: Moment,
}

impl Default for Holds {
    fn default() -> Self {
        Self { table: HashTable::new(), sweep_at: 32, next_sweep: Moment::PAST }
    }
}

impl Holds {
    /// For loads that begin before `until`, nothing of this key is kept. `false` if there is no room for the hold.
    #[must_use]
    pub(super) fn hold(&mut self, hash: u64, key: &dyn Sought, until: Moment, now: Moment) -> bool {
        if let Some(hold) = self.table.find_mut(hash, |hold| hold.hash == hash && key.is(&hold.key)) {
            hold.until = hold.until.max(until);
            return true;
        }
        if self.table.len() >= self.sweep_at && now >= self.next_sweep {
            self.table.retain(|hold| hold.until > now);
            self.sweep_at = (2 * self.table.len()).clamp(32, MAX_HOLDS);
            if self.table.len() >= MAX_HOLDS {
                self.next_sweep = now.after(SWEEP_PAUSE);
            }
        }
        let room = self.table.len() < MAX_HOLDS;
        if room {
            self.table.insert_unique(hash, Hold { hash, key: key.keep(), until }, |hold| hold.hash);
        }
        room
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Until when the key is held.
    pub(super) fn until(&self, hash: u64, key: &dyn Sought) -> Moment {
        let is_it = |hold: &Hold| hold.hash == hash && key.is(&hold.key);
        self.table.find(hash, is_it).map_or(Moment::PAST, |hold| hold.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_holds_are_swept_so_that_they_do_not_pile_up() {
        let mut holds = Holds::default();
        for key in 0..10_000 {
            assert!(holds.hold(key, &key, Moment(key + 2), Moment(key)));
        }
        assert!(holds.table.len() < 100, "{}", holds.table.len());
        assert_eq!(holds.until(9_999, &9_999u64), Moment(10_001));
    }

    #[test]
    fn a_hold_is_extended_and_never_shortened() {
        let mut holds = Holds::default();
        assert!(holds.hold(1, &1u64, Moment(100), Moment(1)));
        assert!(holds.hold(1, &1u64, Moment(50), Moment(1)));
        assert_eq!(holds.until(1, &1u64), Moment(100));
        assert!(holds.hold(1, &1u64, Moment(150), Moment(1)));
        assert_eq!(holds.until(1, &1u64), Moment(150));
    }

    #[test]
    fn keys_that_hash_alike_are_held_each_by_itself() {
        let mut holds = Holds::default();
        assert!(holds.is_empty() && holds.hold(1, &1u64, Moment(100), Moment(1)));
        assert_eq!(holds.until(1, &2u64), Moment::PAST);
        assert!(!holds.is_empty());
    }

    #[test]
    fn a_stripe_that_was_full_of_holds_takes_new_ones_when_they_have_ended() {
        let mut holds = Holds::default();
        for key in 0..10_000u64 {
            let _ = holds.hold(key, &key, Moment(100), Moment(1));
        }
        let later = Moment(1).after(SWEEP_PAUSE);
        assert!(!holds.hold(1, &10_001u64, Moment::NEVER, Moment(later.0 - 1)), "it was swept a moment ago");
        assert!(holds.hold(1, &10_001u64, Moment::NEVER, later));
        assert_eq!(holds.table.len(), 1);
    }

    #[test]
    fn holds_that_last_are_refused_when_there_are_too_many() {
        let mut holds = Holds::default();
        let refused = (0..10_000u64).filter(|key| !holds.hold(*key, key, Moment::NEVER, Moment(1))).count();
        assert_eq!(refused, 10_000 - MAX_HOLDS);
    }
}
