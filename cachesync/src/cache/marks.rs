//! When things were last evicted: a bounded memory of it.

use hashbrown::HashTable;

/// The numbers of the last evictions, by the hash of what was evicted.
///
/// Invariant: [`last`](Self::last) is never too low. It may be too high: for what shares a hash, and when there was too
/// much to remember. Then something is thought to be overtaken that is not.
pub(super) struct Marks {
    numbers: HashTable<Mark>,
    /// The number for all that is not in `numbers`.
    floor: u64,
    limit: usize,
}

struct Mark {
    hash: u64,
    number: u64,
}

impl Marks {
    /// Remembers `limit` things by themselves.
    pub(super) fn new(limit: usize) -> Self {
        Self { numbers: HashTable::new(), floor: 0, limit }
    }

    /// What has this hash is evicted by the eviction of this number.
    pub(super) fn mark(&mut self, hash: u64, number: u64) {
        if let Some(mark) = self.numbers.find_mut(hash, |mark| mark.hash == hash) {
            mark.number = number.max(mark.number);
            return;
        }
        if self.numbers.len() >= self.limit {
            self.mark_all(0);
        }
        self.numbers.insert_unique(hash, Mark { hash, number }, |mark| mark.hash);
    }

    /// Everything is.
    pub(super) fn mark_all(&mut self, number: u64) {
        // Numbers may arrive out of order: a higher one stays.
        self.floor = self.numbers.iter().map(|mark| mark.number).fold(self.floor.max(number), u64::max);
        self.numbers.clear();
    }

    /// The number of the last eviction of what has this hash; 0 if there was none.
    pub(super) fn last(&self, hash: u64) -> u64 {
        self.numbers.find(hash, |mark| mark.hash == hash).map_or(0, |mark| mark.number).max(self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_has_its_own_mark_and_all_have_that_of_everything() {
        let mut marks = Marks::new(8);
        marks.mark(1, 5);
        marks.mark(2, 6);
        marks.mark(1, 7);
        assert_eq!([marks.last(1), marks.last(2), marks.last(3)], [7, 6, 0]);
        marks.mark_all(8);
        marks.mark(2, 9);
        assert_eq!([marks.last(1), marks.last(2), marks.last(3)], [8, 9, 8]);
    }

    #[test]
    fn numbers_may_arrive_out_of_order() {
        let mut marks = Marks::new(2);
        marks.mark(1, 9);
        marks.mark(1, 5);
        assert_eq!(marks.last(1), 9);
        marks.mark_all(7);
        assert!(marks.last(1) >= 9 && marks.last(2) >= 7);
        marks.mark(1, 3);
        assert!(marks.last(1) >= 9);
    }

    #[test]
    fn what_cannot_be_remembered_by_itself_is_remembered_too_well() {
        let mut marks = Marks::new(8);
        for hash in 0..1_000 {
            marks.mark(hash, hash + 1);
        }
        assert!(marks.numbers.len() <= 8);
        assert!((0..1_000).all(|hash| marks.last(hash) > hash), "never too low");
        assert!(marks.last(5_000) <= 1_000);
    }
}
