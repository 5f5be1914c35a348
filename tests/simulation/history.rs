//! The history of a run: what happened when and where, and which rule it broke.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use crate::{faults::Fault, loads::Manner, source::RowKey};

/// How many events of a row are shown with a violation.
const LAST: usize = 40;

#[derive(Debug, Hash)]
pub(crate) enum Event {
    Fault(Fault),
    FaultsEnd,
    Started,
    Connecting,
    Refused,
    Session(u64),
    Resumed(u64),
    SessionCut(u64),
    SessionLost(u64),
    Taken { session: u64, origin: usize, message: u64, cache: Option<String>, bytes: u64 },
    Lost { session: u64, message: u64 },
    Confirmed { session: u64, messages: u64 },
    Delivered { session: u64, message: u64, own_heartbeat: bool },
    Write { transaction: u64, version: u32 },
    Applied { version: u32 },
    InDoubt { version: u32 },
    Committed { transaction: u64, version: u32 },
    RolledBack { transaction: u64, version: u32 },
    EvictionConfirmed { version: u32 },
    WriterDied { version: u32 },
    LoadBegins { manner: Manner },
    LoadEnds { version: Option<u32> },
    LoadFails,
    LoadDropped,
    Read { version: Option<u32>, how: How, floor: u32 },
    Kept { version: u32, kept: bool },
}

impl Event {
    /// Not a heartbeat, of which there are many.
    fn is_of_note(&self) -> bool {
        !matches!(
            self,
            Self::Taken { cache: None, .. } | Self::Confirmed { .. } | Self::Delivered { own_heartbeat: true, .. }
        )
    }
}

/// Where the answer to a read came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum How {
    /// From the cache, or from a load of somebody else's.
    Cached,
    /// From this caller's own load.
    Loaded,
}

struct Entry {
    at: Duration,
    node: Option<usize>,
    row: Option<RowKey>,
    event: Event,
}

#[derive(Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
    violation: Option<Violation>,
}

struct Violation {
    rule: &'static str,
    row: Option<RowKey>,
    text: String,
    at: Duration,
    node: usize,
    /// How many events there were.
    after: usize,
}

impl History {
    pub(crate) fn note(&mut self, at: Duration, node: Option<usize>, row: Option<RowKey>, event: Event) {
        self.entries.push(Entry { at, node, row, event });
    }

    /// Notes the first violation; what follows from it is not news.
    pub(crate) fn violated(
        &mut self,
        at: Duration,
        node: usize,
        row: Option<RowKey>,
        rule: &'static str,
        text: String,
    ) {
        if self.violation.is_none() {
            self.violation = Some(Violation { rule, row, text, at, node, after: self.entries.len() });
        }
    }

    pub(crate) fn has_violation(&self) -> bool {
        self.violation.is_some()
    }

    pub(crate) fn events(&self) -> usize {
        self.entries.len()
    }

    /// The same for two runs in which the same things happened.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for Entry { at, node, row, event } in &self.entries {
            (at, node, row, event).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The rule that was broken.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.violation.as_ref().map(|violation| violation.rule)
    }

    /// The violation, with the last events of its row, and of the sessions.
    pub(crate) fn report(&self) -> String {
        let Some(Violation { rule, row, text, at, node, after }) = &self.violation else { return String::new() };
        let concerns = |entry: &&Entry| match entry.row {
            Some(_) => entry.row == *row,
            None => entry.event.is_of_note() && entry.node.is_none_or(|of| of == *node),
        };
        let mut last: Vec<_> =
            self.entries[..*after].iter().rev().filter(concerns).take(LAST).map(ToString::to_string).collect();
        last.reverse();
        format!("rule {rule}, node {node}, at {at:?}: {text}\nthe last events that concern it:\n{}", last.join("\n"))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} s  ", self.at.as_secs_f64())?;
        match self.node {
            Some(node) => write!(f, "node {node}  ")?,
            None => f.write_str("        ")?,
        }
        match self.row {
            Some(row) => write!(f, "{:<10}", row.to_string())?,
            None => f.write_str("          ")?,
        }
        write!(f, "{:?}", self.event)
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}
