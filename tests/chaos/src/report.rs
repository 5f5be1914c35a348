//! What came of a run.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use crate::outage::Judgement;

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its letter.
    pub rule: &'static str,
    /// What happened, and what led to it.
    pub text: String,
}

/// What a run counted, and found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How long it took.
    pub length: Duration,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<String, u64>,
    /// Processes of nodes.
    pub processes: u64,
    /// Rows read, and how many of them from a cache.
    pub reads: u64,
    /// Of these.
    pub hits: u64,
    /// Transactions of the database.
    pub commits: u64,
    /// While nobody could get anything to the broker.
    pub commits_during_outages: u64,
    /// Rows evicted, and taken by the broker.
    pub evictions: u64,
    /// Transactions whose outcome got lost.
    pub in_doubt: u64,
    /// Reads of what was cached, when something newer than the first version had to be known.
    pub floors: u64,
    /// Reads that began when something newer was committed already.
    pub stale: u64,
    /// The oldest of them: for how long the newer version had been committed, and its eviction confirmed.
    pub oldest_by_commit: Duration,
    /// Where the former was: the row, who read it, and when.
    pub oldest_was: String,
    /// The latter.
    pub oldest_by_confirmation: Duration,
    /// Rule A.
    pub stale_beyond: u64,
    /// Entries that were compared at the end.
    pub compared: u64,
    /// Rule B: entries whose eviction was confirmed, and never applied.
    pub lost: u64,
    /// Evictions of killed writers that were not known to be confirmed: they may have been told to nobody.
    pub died: u64,
    /// Entries that are stale for good because of that.
    pub orphans: u64,
    /// From the broker's return to a node that hears the others, of each.
    pub recoveries: Vec<Duration>,
    /// Sessions that nodes have opened.
    pub sessions: u64,
    /// Those of them that have resumed.
    pub resumed: u64,
    /// Frames that receivers found to be missing.
    pub gaps: u64,
    /// Caches that were cleared; of nodes that lived to the end, as the one before.
    pub cleared: u64,
    /// The first rule that was broken, and how often any was.
    pub violation: Option<Violation>,
    /// The latter.
    pub violations: u64,
    /// What memory and queues did, if the broker was away for that.
    pub outage: Option<Judgement>,
    /// What does the same again.
    pub command: String,
    /// Where the journals are, if they are to be looked at.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Notes that a rule was broken; what follows from the first time is counted.
    pub fn violated(&mut self, rule: &'static str, text: String) {
        self.violations += 1;
        self.violation.get_or_insert(Violation { rule, text });
    }

    /// Whether all rules held.
    pub fn passed(&self) -> bool {
        self.violation.is_none() && self.outage.as_ref().is_none_or(Judgement::is_flat)
    }
}

/// A duration in milliseconds.
fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: u64 = self.faults.values().sum();
        let line = |f: &mut fmt::Formatter<'_>, what: &str, value: String| writeln!(f, "{what:<42}{value}");
        line(f, "length", format!("{:.1} s", self.length.as_secs_f64()))?;
        line(f, "faults", faults.to_string())?;
        for (kind, count) in &self.faults {
            line(f, &format!("  {kind}"), count.to_string())?;
        }
        line(f, "processes of nodes", self.processes.to_string())?;
        line(f, "sessions", format!("{}, {} of them resumed", self.sessions, self.resumed))?;
        line(f, "reads", format!("{}, {} from a cache", self.reads, self.hits))?;
        line(f, "  when something newer had to be known", self.floors.to_string())?;
        line(f, "commits", self.commits.to_string())?;
        line(f, "  during an outage", self.commits_during_outages.to_string())?;
        line(f, "  in doubt", self.in_doubt.to_string())?;
        line(f, "evictions confirmed", self.evictions.to_string())?;
        line(f, "stale reads within the bound", self.stale.to_string())?;
        let oldest = format!("{}{}", ms(self.oldest_by_commit), self.oldest_was);
        line(f, "  the oldest, since the commit", oldest)?;
        line(f, "  the oldest, since the confirmation", ms(self.oldest_by_confirmation))?;
        line(f, "stale reads beyond the bound", self.stale_beyond.to_string())?;
        line(f, "entries compared when all was quiet", self.compared.to_string())?;
        line(f, "broadcasts lost", self.lost.to_string())?;
        line(f, "evictions that died with their writer", self.died.to_string())?;
        line(f, "  entries that are stale because of it", self.orphans.to_string())?;
        line(f, "frames missing in a session", self.gaps.to_string())?;
        line(f, "times that a cache was cleared", self.cleared.to_string())?;
        let mut recoveries = self.recoveries.clone();
        recoveries.sort_unstable();
        if let (Some(median), Some(longest)) = (recoveries.get(recoveries.len() / 2), recoveries.last()) {
            let text = format!("{} times, median {}, longest {}", recoveries.len(), ms(*median), ms(*longest));
            line(f, "from the broker's return to coherent", text)?;
        }
        if let Some(outage) = &self.outage {
            write!(f, "{outage}")?;
        }
        if let Some(Violation { rule, text }) = &self.violation {
            writeln!(f, "\nrule {rule} is broken ({} violations in all): {text}", self.violations)?;
        }
        if !self.passed() {
            writeln!(f, "\nto run it again: {}", self.command)?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "the journals are in {}", kept.display())?;
        }
        write!(f, "{}", if self.passed() { "passed" } else { "FAILED" })
    }
}
