//! What a checker of the rules knows: rows with all their versions, which of them were committed, when their evictions were
//! confirmed, and so which version a read on a node may still return. The simulation asks it in virtual time, the chaos
//! package over histories of real processes.
//!
//! A version has its number from the moment it is written. Since the row stays locked until its transaction has ended,
//! a higher number is a newer value; numbers of what was rolled back are not used again.

#![allow(clippy::missing_panics_doc, reason = "a checker that is asked for what it was never told is mistaken")]

use std::{collections::BTreeMap, time::Duration};

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its transaction, of this number, goes on.
    Open(u64),
    /// With the number of the commit.
    Committed(u64),
    /// It is nowhere but in the history.
    RolledBack,
}

/// One version of a row.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// What became of it.
    pub state: State,
    /// The row is gone with it.
    pub deleted: bool,
    /// The node that wrote it; `usize::MAX` of the first version.
    pub writer: usize,
    /// When its commit, or doubt about it, had been applied on the writer's node.
    applied: Option<Duration>,
    /// When the broker had taken its eviction.
    pub confirmed: Option<Duration>,
    /// Its writer died before that.
    pub orphaned: bool,
}

struct Versions {
    all: Vec<Version>,
    locked_by: Option<u64>,
}

/// Rows with all their versions.
pub struct Truth<K> {
    rows: BTreeMap<K, Versions>,
    transactions: u64,
    commits: u64,
}

impl<K: Copy + Ord> Truth<K> {
    /// These rows, each in a first version that everybody knows.
    pub fn new(rows: impl IntoIterator<Item = K>) -> Self {
        let first = Version {
            state: State::Committed(0),
            deleted: false,
            writer: usize::MAX,
            applied: Some(Duration::ZERO),
            confirmed: Some(Duration::ZERO),
            orphaned: false,
        };
        let rows = rows.into_iter().map(|key| (key, Versions { all: vec![first], locked_by: None })).collect();
        Self { rows, transactions: 0, commits: 0 }
    }

    /// The number of a new transaction.
    pub fn begin(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    /// The present, for readers who are to see nothing later.
    pub fn snapshot(&self) -> u64 {
        self.commits
    }

    /// Writes a row; `None` if another transaction has it locked.
    pub fn write(&mut self, transaction: u64, writer: usize, key: K, deleted: bool) -> Option<u32> {
        let row = self.rows.get_mut(&key)?;
        if row.locked_by.is_some_and(|owner| owner != transaction) {
            return None;
        }
        row.locked_by = Some(transaction);
        row.all.push(Version {
            state: State::Open(transaction),
            deleted,
            writer,
            applied: None,
            confirmed: None,
            orphaned: false,
        });
        u32::try_from(row.all.len() - 1).ok()
    }

    /// Commits a transaction, and returns what it wrote.
    pub fn commit(&mut self, transaction: u64) -> Vec<(K, u32)> {
        self.commits += 1;
        let state = State::Committed(self.commits);
        self.end(transaction, state)
    }

    /// Rolls a transaction back, and returns what it wrote.
    pub fn roll_back(&mut self, transaction: u64) -> Vec<(K, u32)> {
        self.end(transaction, State::RolledBack)
    }

    /// Undoes writes of a transaction that goes on, which keeps its locks.
    pub fn undo(&mut self, writes: &[(K, u32)]) {
        for (key, version) in writes {
            self.version_mut(*key, *version).state = State::RolledBack;
        }
    }

    fn end(&mut self, transaction: u64, state: State) -> Vec<(K, u32)> {
        let mut ended = Vec::new();
        for (key, row) in self.rows.iter_mut().filter(|(_, row)| row.locked_by == Some(transaction)) {
            row.locked_by = None;
            for (number, version) in row.all.iter_mut().enumerate() {
                if version.state == State::Open(transaction) {
                    version.state = state;
                    ended.push((*key, u32::try_from(number).unwrap_or(u32::MAX)));
                }
            }
        }
        ended
    }

    /// The row as a transaction sees it, with its own writes: version, and whether it is there.
    pub fn read(&self, key: K, transaction: Option<u64>) -> (u32, bool) {
        self.newest(key, |state| match state {
            State::Open(owner) => Some(owner) == transaction,
            State::Committed(_) => true,
            State::RolledBack => false,
        })
    }

    /// The row as it was at a snapshot.
    pub fn read_at(&self, key: K, snapshot: u64) -> (u32, bool) {
        self.newest(key, |state| matches!(state, State::Committed(commit) if commit <= snapshot))
    }

    fn newest(&self, key: K, visible: impl Fn(State) -> bool) -> (u32, bool) {
        let row = &self.rows[&key].all;
        let number = row.iter().rposition(|version| visible(version.state)).unwrap_or(0);
        (u32::try_from(number).unwrap_or(u32::MAX), !row[number].deleted)
    }

    /// What is known of a version.
    pub fn version(&self, key: K, version: u32) -> &Version {
        &self.rows[&key].all[version as usize]
    }

    /// Whether a version from `from` on was committed, and is no row.
    pub fn has_deleted(&self, key: K, from: u32) -> bool {
        let row = &self.rows[&key].all;
        row.iter().skip(from as usize).any(|version| version.deleted && matches!(version.state, State::Committed(_)))
    }

    /// The oldest version that a read on a node may return that begins `now`: the newest that was committed, and whose
    /// eviction was confirmed a lease ago or applied on this very node. That may be asked later, too.
    pub fn floor(&self, key: K, node: usize, now: Duration, lease: Duration) -> u32 {
        let row = &self.rows[&key].all;
        let is_due = |version: &Version| {
            matches!(version.state, State::Committed(_))
                && (((version.writer == node || version.writer == usize::MAX)
                    && version.applied.is_some_and(|at| at <= now))
                    || version.confirmed.is_some_and(|confirmed| confirmed.saturating_add(lease) <= now))
        };
        u32::try_from(row.iter().rposition(is_due).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// The commit of a version, or doubt about it, was applied on its writer's node.
    pub fn applied(&mut self, key: K, version: u32, at: Duration) {
        self.version_mut(key, version).applied.get_or_insert(at);
    }

    /// The broker has taken the eviction of a version, at this time at the latest.
    pub fn confirmed(&mut self, key: K, version: u32, at: Duration) {
        self.version_mut(key, version).confirmed.get_or_insert(at);
    }

    /// A node has died: nobody will hear of what it wrote and nobody has confirmed.
    pub fn orphan(&mut self, writer: usize) -> Vec<(K, u32)> {
        let mut orphaned = Vec::new();
        for (key, row) in &mut self.rows {
            for (number, version) in row.all.iter_mut().enumerate() {
                if version.writer == writer && version.confirmed.is_none() && version.state != State::RolledBack {
                    if !version.orphaned {
                        orphaned.push((*key, u32::try_from(number).unwrap_or(u32::MAX)));
                    }
                    (version.orphaned, version.applied) = (true, None);
                }
            }
        }
        orphaned
    }

    /// The next version after this one that was committed.
    pub fn next_committed(&self, key: K, version: u32) -> Option<u32> {
        let newer = self.rows[&key].all.iter().enumerate().skip(version as usize + 1);
        let (number, _) = newer.into_iter().find(|(_, version)| matches!(version.state, State::Committed(_)))?;
        u32::try_from(number).ok()
    }

    /// Whether a version is as new as can be known: whatever is newer was orphaned.
    pub fn is_current_but_for_orphans(&self, key: K, version: u32) -> bool {
        let row = &self.rows[&key].all;
        row.iter()
            .skip(version as usize + 1)
            .all(|newer| !matches!(newer.state, State::Committed(_)) || (newer.orphaned && newer.confirmed.is_none()))
    }

    fn version_mut(&mut self, key: K, version: u32) -> &mut Version {
        &mut self.rows.get_mut(&key).expect("rows are never taken out").all[version as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A row in its second version, which node 1 has committed.
    fn written() -> Truth<u8> {
        let mut truth = Truth::new([7]);
        let transaction = truth.begin();
        assert_eq!(truth.write(transaction, 1, 7, false), Some(1));
        assert_eq!(truth.commit(transaction), [(7, 1)]);
        truth
    }

    #[test]
    fn a_version_has_to_be_known_on_its_node_when_it_was_applied_and_elsewhere_a_lease_after_it_was_confirmed() {
        let mut truth = written();
        assert_eq!(truth.floor(7, 1, at(100), LEASE), 0, "committed, and nobody was told");
        truth.applied(7, 1, at(10));
        truth.confirmed(7, 1, at(20));
        let floors = |node| [9, 10, 21, 22].map(|now| truth.floor(7, node, at(now), LEASE));
        assert_eq!((floors(1), floors(2)), ([0, 1, 1, 1], [0, 0, 0, 1]));
    }

    #[test]
    fn what_a_dead_writer_told_nobody_has_to_be_known_nowhere() {
        let mut truth = written();
        truth.applied(7, 1, at(10));
        assert_eq!(truth.orphan(1), [(7, 1)]);
        assert_eq!(truth.floor(7, 1, at(100), LEASE), 0);
        assert!(truth.is_current_but_for_orphans(7, 0));
        assert_eq!(truth.next_committed(7, 0), Some(1));
    }

    #[test]
    fn what_was_rolled_back_has_to_be_known_nowhere_and_is_no_newer_version() {
        let mut truth = Truth::new([7]);
        let transaction = truth.begin();
        truth.write(transaction, 1, 7, false);
        truth.roll_back(transaction);
        truth.applied(7, 1, at(0));
        truth.confirmed(7, 1, at(0));
        assert_eq!((truth.floor(7, 1, at(100), LEASE), truth.next_committed(7, 0)), (0, None));
    }
}
