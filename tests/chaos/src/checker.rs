//! The merged journals, held against the rules.
//!
//! Journals are read in the order of their times. A read is checked when it was written down, which is after it ended,
//! against what had to be known when it began; by then all that happened before it began has been read.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use cachesync_truth::{State, Truth};

use crate::{
    LEASE, ROWS,
    event::{Event, Hears, How},
    journal::Merged,
    report::Report,
    run::Author,
    story::Story,
    trouble::Trouble,
};

/// Holds journals against the rules; `commits` are the transactions that the database has committed, in their order.
pub fn check(authors: &[Author], commits: Vec<u64>) -> Result<Report> {
    let mut merged = Merged::open(authors.iter().map(|author| author.journal.clone()))?;
    let mut checker = Checker::new(authors, commits);
    while let Some((at, author, event)) = merged.pull()? {
        checker.report.length = checker.story.since_begin(at);
        checker.happened(at, author, event)?;
    }
    checker.end()
}

/// A transaction of the database.
struct Written {
    /// Its number in the truth.
    known_as: u64,
    /// Its rows, with the numbers of their versions.
    rows: Vec<(u64, u32)>,
    /// When a node had applied it.
    applied: Option<Duration>,
}

/// Transactions of a journal that are applied or settled, and not known to be confirmed.
#[derive(Default)]
struct Told {
    waiting: VecDeque<u64>,
    confirmed: u64,
}

struct Checker<'a> {
    authors: &'a [Author],
    story: Story<'a>,
    trouble: Trouble,
    truth: Truth<u64>,
    committed: HashSet<u64>,
    /// Those that have yet to be seen in a journal.
    unseen: VecDeque<u64>,
    written: HashMap<u64, Written>,
    /// Of each row, who wrote its versions.
    names: Vec<Vec<u64>>,
    told: Vec<Told>,
    /// How many sessions each journal has last told, and how many of them had resumed.
    sessions: Vec<[u64; 2]>,
    report: Report,
}

impl<'a> Checker<'a> {
    fn new(authors: &'a [Author], commits: Vec<u64>) -> Self {
        Self {
            authors,
            story: Story::new(authors),
            trouble: Trouble::default(),
            truth: Truth::new(0..ROWS),
            committed: commits.iter().copied().collect(),
            unseen: commits.into(),
            written: HashMap::new(),
            names: (0..ROWS).map(|_| vec![0]).collect(),
            told: authors.iter().map(|_| Told::default()).collect(),
            sessions: vec![[0; 2]; authors.len()],
            report: Report::default(),
        }
    }

    fn happened(&mut self, at: Duration, author: usize, event: Event) -> Result<()> {
        self.remember(at, author, &event);
        match event {
            Event::Wrote { transaction, row } => self.wrote(author, transaction, row)?,
            Event::Committing { transaction } => self.committing(transaction)?,
            Event::Applied { transaction } => {
                ensure!(self.committed.contains(&transaction), "{transaction} was answered, and is not committed");
                let written = self.written.get_mut(&transaction).context("it was written before")?;
                written.applied = Some(at);
                for (row, version) in &written.rows {
                    self.truth.applied(*row, *version, at);
                }
                self.told[author].waiting.push_back(transaction);
            }
            Event::InDoubt { .. } => self.report.in_doubt += 1,
            Event::Settled { transaction } => self.told[author].waiting.push_back(transaction),
            Event::Flushed { transactions } => {
                while self.told[author].confirmed < transactions {
                    let told = &mut self.told[author];
                    let transaction = told.waiting.pop_front().context("more was flushed than was told")?;
                    told.confirmed += 1;
                    self.confirmed(at, transaction);
                }
            }
            Event::Confirmed { transaction } => self.confirmed(at, transaction),
            Event::Status { hears, sessions, resumed, .. } => {
                self.sessions[author] = [sessions, resumed];
                if hears == Hears::Coherent
                    && let Some((node, _)) = self.authors[author].process
                {
                    self.trouble.hears(at, node);
                }
            }
            Event::Counted { gaps, cleared } => {
                self.report.gaps += gaps;
                self.report.cleared += cleared;
            }
            Event::Fault { kind, node } => {
                self.trouble.begins(&kind, node);
                *self.report.faults.entry(kind).or_default() += 1;
            }
            Event::Healed { kind, node } => self.trouble.ends(&kind, node),
            Event::Returned => self.trouble.returns(at),
            Event::Born { .. } => self.report.processes += 1,
            Event::Died { incarnation } => {
                let orphans = self.truth.orphan(incarnation);
                let is_committed = |(row, version): &&(u64, u32)| {
                    matches!(self.truth.version(*row, *version).state, State::Committed(_))
                };
                self.report.died += orphans.iter().filter(is_committed).count() as u64;
            }
            Event::Read { .. } | Event::Entry { .. } => self.read(at, author, &event)?,
            Event::RolledBack { .. } => {}
        }
        Ok(())
    }

    fn incarnation(&self, author: usize) -> usize {
        self.authors[author].process.map_or(usize::MAX - 1, |(_, incarnation)| incarnation)
    }

    fn wrote(&mut self, author: usize, transaction: u64, row: u64) -> Result<()> {
        let incarnation = self.incarnation(author);
        let truth = &mut self.truth;
        let written = self.written.entry(transaction).or_insert_with(|| Written {
            known_as: truth.begin(),
            rows: Vec::new(),
            applied: None,
        });
        if written.rows.iter().any(|(written, _)| *written == row) {
            return Ok(());
        }
        let version = truth.write(written.known_as, incarnation, row, false);
        let version = version.with_context(|| format!("two transactions write row {row} at once"))?;
        written.rows.push((row, version));
        self.names[usize::try_from(row)?].push(transaction);
        if !self.committed.contains(&transaction) {
            // Its end may not have been written down, and nobody else waits for it.
            truth.roll_back(written.known_as);
        }
        Ok(())
    }

    fn committing(&mut self, transaction: u64) -> Result<()> {
        if !self.committed.contains(&transaction) {
            return Ok(());
        }
        let next = self.unseen.pop_front();
        ensure!(next == Some(transaction), "{transaction} was committed, and the database says {next:?} was");
        if let Some(written) = self.written.get(&transaction) {
            self.truth.commit(written.known_as);
        }
        self.report.commits += 1;
        self.report.commits_during_outages += u64::from(self.trouble.is_outage());
        Ok(())
    }

    fn confirmed(&mut self, at: Duration, transaction: u64) {
        // Of a transaction that was in doubt, and was not committed, nothing has to be known.
        let Some(written) = self.written.get(&transaction) else { return };
        for (row, version) in &written.rows {
            self.report.evictions += u64::from(self.truth.version(*row, *version).confirmed.is_none());
            self.truth.confirmed(*row, *version, at);
        }
    }

    fn version(&self, row: u64, name: u64) -> Option<u32> {
        if name == 0 {
            return Some(0);
        }
        let rows = &self.written.get(&name)?.rows;
        rows.iter().find_map(|(written, version)| (*written == row).then_some(*version))
    }

    fn read(&mut self, at: Duration, author: usize, event: &Event) -> Result<()> {
        let (Event::Read { row, version: name, .. } | Event::Entry { row, version: name }) = *event else {
            bail!("it is a read");
        };
        let Some(version) = self.version(row, name) else {
            self.violated("D", row, at, author, &format!("{name} was read, which nobody has written"));
            return Ok(());
        };
        if let Event::Read { began, how, within, .. } = *event {
            self.report.reads += 1;
            self.report.hits += u64::from(how == How::Cached);
            if let Some((rule, text)) = self.judge(row, name, version, began, author, within) {
                self.report.stale_beyond += u64::from(rule == "A");
                self.violated(rule, row, at, author, &text);
            } else if how == How::Cached {
                self.measure(row, version, began, author);
            }
            return Ok(());
        }
        self.report.compared += 1;
        if let Some(newer) = self.truth.next_committed(row, version) {
            if self.truth.is_current_but_for_orphans(row, version) {
                self.report.orphans += 1;
            } else {
                self.report.lost += 1;
                let newer = self.names[usize::try_from(row)?][newer as usize];
                let text = format!("{name} is cached when all is quiet, although {newer} was committed");
                self.violated("B", row, at, author, &text);
            }
        }
        Ok(())
    }

    /// The rule that a read has broken.
    fn judge(
        &self,
        row: u64,
        name: u64,
        version: u32,
        began: Duration,
        author: usize,
        within: u64,
    ) -> Option<(&'static str, String)> {
        let own = self.version(row, within).filter(|_| within != 0);
        if let Some(own) = own {
            let says = || format!("{within} reads {name}, and not what it has written itself");
            return (own != version).then(|| ("D", says()));
        }
        match self.truth.version(row, version).state {
            State::Committed(_) => {}
            State::Open(_) => return Some(("D", format!("{name} was read, and is not committed yet"))),
            State::RolledBack => return Some(("D", format!("{name} was read, and is not committed"))),
        }
        let incarnation = self.incarnation(author);
        let floor = self.truth.floor(row, incarnation, began, LEASE);
        if version >= floor {
            return None;
        }
        let newer = self.truth.version(row, floor);
        let rule = if newer.writer == incarnation { "C" } else { "A" };
        let confirmed = newer.confirmed.map_or_else(String::new, |at| {
            format!(", confirmed {:.3} s before the read began", began.saturating_sub(at).as_secs_f64())
        });
        let needed = self.names[usize::try_from(row).ok()?][floor as usize];
        Some((rule, format!("{name} was read, and {needed} had to be known{confirmed}")))
    }

    /// How stale a read was that broke no rule.
    fn measure(&mut self, row: u64, version: u32, began: Duration, author: usize) {
        let incarnation = self.incarnation(author);
        self.report.floors += u64::from(self.truth.floor(row, incarnation, began, LEASE) > 0);
        let (applied, confirmed) = self.first_newer(row, version);
        if let Some(age) = applied.and_then(|applied| began.checked_sub(applied)) {
            self.report.stale += 1;
            if age > self.report.oldest_by_commit {
                self.report.oldest_by_commit = age;
                self.report.oldest_was = format!(", {}", self.story.place(row, began, author));
            }
        }
        if let Some(age) = confirmed.and_then(|confirmed| began.checked_sub(confirmed)) {
            self.report.oldest_by_confirmation = self.report.oldest_by_confirmation.max(age);
        }
    }

    /// When the first of all versions after this one was applied, and when the first of their evictions was confirmed. That
    /// need not be the next version: its outcome may have been unknown, or its writer killed.
    fn first_newer(&self, row: u64, version: u32) -> (Option<Duration>, Option<Duration>) {
        let earlier = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
        let (mut applied, mut confirmed) = (None, None);
        let mut last = version;
        while let Some(newer) = self.truth.next_committed(row, last) {
            last = newer;
            let version = self.truth.version(row, newer);
            if version.orphaned {
                continue;
            }
            let name = usize::try_from(row).ok().and_then(|row| self.names[row].get(newer as usize));
            let written = name.and_then(|name| self.written.get(name));
            applied = earlier(applied, written.and_then(|written| written.applied));
            confirmed = earlier(confirmed, version.confirmed);
        }
        (applied, confirmed)
    }

    /// Remembers an event for all that it concerns.
    fn remember(&mut self, at: Duration, author: usize, event: &Event) {
        match event {
            Event::Wrote { row, .. } | Event::Read { row, .. } | Event::Entry { row, .. } => {
                self.story.of_rows(&[*row], at, author, event);
            }
            Event::Committing { transaction }
            | Event::Applied { transaction }
            | Event::RolledBack { transaction }
            | Event::InDoubt { transaction }
            | Event::Settled { transaction }
            | Event::Confirmed { transaction } => {
                let rows = self.written.get(transaction).into_iter().flat_map(|written| &written.rows);
                let rows: Vec<_> = rows.map(|(row, _)| *row).collect();
                self.story.of_rows(&rows, at, author, event);
            }
            Event::Fault { .. } | Event::Healed { .. } | Event::Returned | Event::Born { .. } | Event::Died { .. } => {
                self.story.of_all(at, author, event);
            }
            Event::Flushed { .. } | Event::Status { .. } | Event::Counted { .. } => {}
        }
    }

    /// The first violation is told, with what led to it; what follows is counted.
    fn violated(&mut self, rule: &'static str, row: u64, at: Duration, author: usize, wrong: &str) {
        let is_first = self.report.violation.is_none();
        let text = if is_first { self.story.tell(row, at, author, wrong) } else { String::new() };
        self.report.violated(rule, text);
    }

    fn end(mut self) -> Result<Report> {
        ensure!(self.unseen.is_empty(), "{:?} were committed, and nobody has written that down", self.unseen);
        [self.report.sessions, self.report.resumed] = [0, 1].map(|of| self.sessions.iter().map(|told| told[of]).sum());
        self.report.recoveries = self.trouble.recoveries;
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests;
