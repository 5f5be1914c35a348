//! A process's journal: an append-only file of events in the order of their times.
//!
//! Invariants: a time is taken under the lock of the file, so no line is older than the one before it; a line that is
//! [noted now](Journal::note_now) is with the system when that returns, so it survives the process, and so do all before it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::event::Event;

/// The time, by the clock that all processes of the machine share.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    let nanos = |part: i64| u64::try_from(part).expect("the monotonic clock is not negative");
    Duration::from_secs(nanos(time.tv_sec)) + Duration::from_nanos(nanos(time.tv_nsec))
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal(Mutex<Open>);

#[derive(Debug)]
struct Open {
    file: BufWriter<File>,
    /// How many transactions it says are applied or settled.
    told: u64,
}

impl Journal {
    /// An empty journal.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(Mutex::new(Open { file: BufWriter::with_capacity(1 << 16, file), told: 0 })))
    }

    /// Writes an event down, soon.
    pub fn note(&self, event: &Event) {
        Self::write(&mut self.open(), event);
    }

    /// Writes an event down, before anything else happens.
    pub fn note_now(&self, event: &Event) {
        let mut open = self.open();
        Self::write(&mut open, event);
        open.file.flush().expect("the journal can be written");
    }

    /// Hands what was noted to the system.
    pub fn flush(&self) {
        self.open().file.flush().expect("the journal can be written");
    }

    /// How many transactions it says are applied or settled: their evictions were queued before.
    pub fn told(&self) -> u64 {
        self.open().told
    }

    fn write(open: &mut Open, event: &Event) {
        open.told += u64::from(matches!(event, Event::Applied { .. } | Event::Settled { .. }));
        writeln!(open.file, "{} {event}", now().as_nanos()).expect("the journal can be written");
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Journals that are read side by side, in the order of their times.
pub struct Merged {
    journals: Vec<(PathBuf, BufReader<File>)>,
    /// The next event of each journal; of events at one time that of the first journal is first.
    next: BinaryHeap<Reverse<(Duration, usize)>>,
    events: Vec<Option<Event>>,
}

impl Merged {
    /// These journals. The last line of one whose process was killed may be broken, and is dropped.
    pub fn open(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let open = |path: PathBuf| {
            let file = File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            Ok((path, BufReader::new(file)))
        };
        let journals = paths.into_iter().map(open).collect::<Result<Vec<_>>>()?;
        let mut merged = Self { events: journals.iter().map(|_| None).collect(), journals, next: BinaryHeap::new() };
        for journal in 0..merged.journals.len() {
            merged.advance(journal)?;
        }
        Ok(merged)
    }

    /// The next event: its time, and the number of its journal.
    pub fn pull(&mut self) -> Result<Option<(Duration, usize, Event)>> {
        let Some(Reverse((at, journal))) = self.next.pop() else { return Ok(None) };
        let event = self.events[journal].take().expect("who is in the heap has an event");
        self.advance(journal)?;
        Ok(Some((at, journal, event)))
    }

    fn advance(&mut self, journal: usize) -> Result<()> {
        let (path, reader) = &mut self.journals[journal];
        let mut line = String::new();
        reader.read_line(&mut line).with_context(|| format!("{} cannot be read", path.display()))?;
        let Some((time, event)) = line.strip_suffix('\n').and_then(|line| line.split_once(' ')) else { return Ok(()) };
        let parse = || Ok::<_, anyhow::Error>((Duration::from_nanos(time.parse()?), event.parse()?));
        let (time, event) = parse().with_context(|| format!("{}: {line:?}", path.display()))?;
        self.events[journal] = Some(event);
        self.next.push(Reverse((time, journal)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn journals_are_merged_by_time_and_a_broken_last_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| folder.path().join(name));
        fs::write(&paths[0], "1 returned\n4 died 4\n5 died 1").unwrap();
        fs::write(&paths[1], "2 died 2\n3 died 3\n").unwrap();
        let mut merged = Merged::open(paths).unwrap();
        let mut seen = Vec::new();
        while let Some((at, journal, _)) = merged.pull().unwrap() {
            seen.push((at.as_nanos(), journal));
        }
        assert_eq!(seen, [(1, 0), (2, 1), (3, 1), (4, 0)]);
    }

    #[test]
    fn what_is_noted_now_is_in_the_file_with_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::create(&path).unwrap();
        journal.note(&Event::Applied { transaction: 1 });
        journal.note_now(&Event::Settled { transaction: 2 });
        assert_eq!((journal.told(), fs::read_to_string(&path).unwrap().lines().count()), (2, 2));
    }
}
