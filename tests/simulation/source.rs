//! The source of truth: rows with all their versions, transactions that lock the rows they write, and snapshots.
//!
//! A version has its number from the moment it is written. Since the row stays locked until its transaction has ended,
//! a higher number is a newer value; numbers of what was rolled back are not used again.

use std::{collections::BTreeMap, fmt, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Table {
    /// Read and written by hand, with evictions by key and of all.
    Plain,
    /// The same, with puts.
    Puts,
    /// Read and written by annotated functions, with tags and with rows that are not there.
    Items,
    /// By annotated functions with two caches each.
    Pairs,
    /// The same, with puts whose key is found in their result, and with errors that are remembered.
    Named,
}

pub(crate) const TABLES: [Table; 5] = [Table::Plain, Table::Puts, Table::Items, Table::Pairs, Table::Named];

impl Table {
    /// The caches that hold its rows.
    pub(crate) fn caches(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["plain"],
            Self::Puts => &["puts"],
            Self::Items => &["items"],
            Self::Pairs => &["left", "right"],
            Self::Named => &["names", "aliases"],
        }
    }

    /// Whether its bodies can return an error.
    pub(crate) fn can_fail(self) -> bool {
        self != Self::Items
    }

    /// Whether its rows can be taken away.
    pub(crate) fn can_be_gone(self) -> bool {
        matches!(self, Self::Items | Self::Named)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowKey {
    pub(crate) table: Table,
    pub(crate) id: u64,
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.table.caches()[0], self.id)
    }
}

/// What is cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) version: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open(u64),
    /// With the number of the commit.
    Committed(u64),
    RolledBack,
}

pub(crate) struct Version {
    pub(crate) state: State,
    pub(crate) deleted: bool,
    pub(crate) writer: usize,
    /// Its commit, or doubt about it, has been applied on the writer's node.
    applied: bool,
    /// When the broker had taken its eviction.
    pub(crate) confirmed: Option<Duration>,
    /// Its writer died before that.
    pub(crate) orphaned: bool,
}

#[derive(Default)]
struct Versions {
    all: Vec<Version>,
    locked_by: Option<u64>,
}

pub(crate) struct Source {
    rows: BTreeMap<RowKey, Versions>,
    transactions: u64,
    commits: u64,
}

impl Source {
    pub(crate) fn new(rows: u64) -> Self {
        let first = || Version {
            state: State::Committed(0),
            deleted: false,
            writer: usize::MAX,
            applied: true,
            confirmed: Some(Duration::ZERO),
            orphaned: false,
        };
        let keys = TABLES.iter().flat_map(|table| (0..rows).map(|id| RowKey { table: *table, id }));
        let rows = keys.map(|key| (key, Versions { all: vec![first()], locked_by: None })).collect();
        Self { rows, transactions: 0, commits: 0 }
    }

    pub(crate) fn begin(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    /// The present, for readers who are to see nothing later.
    pub(crate) fn snapshot(&self) -> u64 {
        self.commits
    }

    /// Writes a row; `None` if another transaction has it locked.
    pub(crate) fn write(&mut self, transaction: u64, writer: usize, key: RowKey, deleted: bool) -> Option<u32> {
        let row = self.rows.get_mut(&key)?;
        if row.locked_by.is_some_and(|owner| owner != transaction) {
            return None;
        }
        row.locked_by = Some(transaction);
        row.all.push(Version {
            state: State::Open(transaction),
            deleted,
            writer,
            applied: false,
            confirmed: None,
            orphaned: false,
        });
        u32::try_from(row.all.len() - 1).ok()
    }

    pub(crate) fn commit(&mut self, transaction: u64) -> Vec<(RowKey, u32)> {
        self.commits += 1;
        let state = State::Committed(self.commits);
        self.end(transaction, state)
    }

    pub(crate) fn roll_back(&mut self, transaction: u64) -> Vec<(RowKey, u32)> {
        self.end(transaction, State::RolledBack)
    }

    /// Undoes writes of a transaction that goes on, which keeps its locks.
    pub(crate) fn undo(&mut self, writes: &[(RowKey, u32)]) {
        for (key, version) in writes {
            self.version_mut(*key, *version).state = State::RolledBack;
        }
    }

    fn end(&mut self, transaction: u64, state: State) -> Vec<(RowKey, u32)> {
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
    pub(crate) fn read(&self, key: RowKey, transaction: Option<u64>) -> (u32, bool) {
        self.newest(key, |state| match state {
            State::Open(owner) => Some(owner) == transaction,
            State::Committed(_) => true,
            State::RolledBack => false,
        })
    }

    /// The row as it was at a snapshot.
    pub(crate) fn read_at(&self, key: RowKey, snapshot: u64) -> (u32, bool) {
        self.newest(key, |state| matches!(state, State::Committed(commit) if commit <= snapshot))
    }

    fn newest(&self, key: RowKey, visible: impl Fn(State) -> bool) -> (u32, bool) {
        let row = &self.rows[&key].all;
        let number = row.iter().rposition(|version| visible(version.state)).unwrap_or(0);
        (u32::try_from(number).unwrap_or(u32::MAX), !row[number].deleted)
    }

    pub(crate) fn version(&self, key: RowKey, version: u32) -> &Version {
        &self.rows[&key].all[version as usize]
    }

    /// The versions from `from` on that were committed, and are no row.
    pub(crate) fn has_deleted(&self, key: RowKey, from: u32) -> bool {
        let row = &self.rows[&key].all;
        row.iter().skip(from as usize).any(|version| version.deleted && matches!(version.state, State::Committed(_)))
    }

    /// The oldest version that a read on a node may return that begins now: the newest that was committed, and whose
    /// eviction was confirmed a lease ago or applied on this very node.
    pub(crate) fn floor(&self, key: RowKey, node: usize, now: Duration, lease: Duration) -> u32 {
        let row = &self.rows[&key].all;
        let is_due = |version: &Version| {
            matches!(version.state, State::Committed(_))
                && ((version.applied && (version.writer == node || version.writer == usize::MAX))
                    || version.confirmed.is_some_and(|confirmed| confirmed.saturating_add(lease) <= now))
        };
        u32::try_from(row.iter().rposition(is_due).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    pub(crate) fn applied(&mut self, key: RowKey, version: u32) {
        self.version_mut(key, version).applied = true;
    }

    pub(crate) fn confirmed(&mut self, key: RowKey, version: u32, at: Duration) {
        self.version_mut(key, version).confirmed.get_or_insert(at);
    }

    /// A node has died: nobody will hear of what it wrote and nobody has confirmed.
    pub(crate) fn orphan(&mut self, writer: usize) -> Vec<(RowKey, u32)> {
        let mut orphaned = Vec::new();
        for (key, row) in &mut self.rows {
            for (number, version) in row.all.iter_mut().enumerate() {
                if version.writer == writer && version.confirmed.is_none() && version.state != State::RolledBack {
                    if !version.orphaned {
                        orphaned.push((*key, u32::try_from(number).unwrap_or(u32::MAX)));
                    }
                    (version.orphaned, version.applied) = (true, false);
                }
            }
        }
        orphaned
    }

    /// Whether a version is as new as can be known: whatever is newer was orphaned.
    pub(crate) fn is_current_but_for_orphans(&self, key: RowKey, version: u32) -> bool {
        let row = &self.rows[&key].all;
        row.iter()
            .skip(version as usize + 1)
            .all(|newer| !matches!(newer.state, State::Committed(_)) || (newer.orphaned && newer.confirmed.is_none()))
    }

    fn version_mut(&mut self, key: RowKey, version: u32) -> &mut Version {
        &mut self.rows.get_mut(&key).expect("rows are never taken out").all[version as usize]
    }
}
