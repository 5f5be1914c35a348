//! What has happened last, to each row and at large: to be told with a violation.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use crate::{event::Event, run::Author};

/// How many events of a row, and how many faults, are told.
const LAST: usize = 30;

/// The last events of a run.
pub struct Story<'a> {
    authors: &'a [Author],
    /// The time of the first event; all others are told from there.
    begin: Option<Duration>,
    rows: BTreeMap<u64, VecDeque<Told>>,
    /// Faults, and processes that begin and end.
    faults: VecDeque<Told>,
}

struct Told {
    at: Duration,
    author: usize,
    event: Event,
}

impl<'a> Story<'a> {
    /// Nothing has happened yet.
    pub fn new(authors: &'a [Author]) -> Self {
        Self { authors, begin: None, rows: BTreeMap::new(), faults: VecDeque::new() }
    }

    /// How long after the first event this is.
    pub fn since_begin(&mut self, at: Duration) -> Duration {
        at.saturating_sub(*self.begin.get_or_insert(at))
    }

    /// Remembers an event that concerns these rows.
    pub fn of_rows(&mut self, rows: &[u64], at: Duration, author: usize, event: &Event) {
        for row in rows {
            let told = self.rows.entry(*row).or_default();
            if !repeats(told, author, event) {
                push(told, Told { at, author, event: event.clone() });
            }
        }
    }

    /// Remembers a fault, or what else concerns all rows.
    pub fn of_all(&mut self, at: Duration, author: usize, event: &Event) {
        push(&mut self.faults, Told { at, author, event: event.clone() });
    }

    /// What is wrong with a row, and what led to it.
    pub fn tell(&self, row: u64, at: Duration, author: usize, wrong: &str) -> String {
        let mut text = format!("{}: {wrong}", self.place(row, at, author));
        for (what, told) in [("its last events", self.rows.get(&row)), ("the last faults", Some(&self.faults))] {
            _ = write!(text, "\n{what}:");
            for Told { at, author, event } in told.into_iter().flatten() {
                _ = write!(text, "\n{:>12}  {:<22}{}", self.time(*at), self.name(*author), self.show(event));
            }
        }
        text
    }

    /// Where and when something happened to a row.
    pub fn place(&self, row: u64, at: Duration, author: usize) -> String {
        format!("row {row}, {} at {}", self.name(author), self.time(at))
    }

    fn show(&self, event: &Event) -> String {
        match event {
            Event::Read { began, version, how, within, .. } => {
                let within = if *within == 0 { String::new() } else { format!(", within {within}") };
                format!("read {version}, {how:?}, began at {}{within}", self.time(*began))
            }
            _ => event.to_string(),
        }
    }

    fn time(&self, at: Duration) -> String {
        format!("{:.3} s", at.saturating_sub(self.begin.unwrap_or_default()).as_secs_f64())
    }

    fn name(&self, author: usize) -> String {
        match self.authors[author].process {
            Some((node, incarnation)) => format!("node {node} (process {incarnation})"),
            None => "driver".to_owned(),
        }
    }
}

/// Who reads the same again and again is told of once.
fn repeats(told: &VecDeque<Told>, author: usize, event: &Event) -> bool {
    let Event::Read { version, how, .. } = event else { return false };
    let mut reads = told.iter().rev().filter(|told| told.author == author).filter_map(|told| match &told.event {
        Event::Read { version, how, .. } => Some((version, how)),
        _ => None,
    });
    reads.next() == Some((version, how))
}

fn push(last: &mut VecDeque<Told>, told: Told) {
    last.push_back(told);
    if last.len() > LAST {
        last.pop_front();
    }
}
