//! The tables of the source of truth; their rows with all their versions are a [`Truth`].

use std::fmt;

pub(crate) use cachesync_truth::State;
use cachesync_truth::Truth;

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

pub(crate) type Source = Truth<RowKey>;

/// A source with so many rows in each table.
pub(crate) fn source(rows: u64) -> Source {
    Truth::new(TABLES.iter().flat_map(|table| (0..rows).map(|id| RowKey { table: *table, id })))
}
