//! What a process writes down: one line for each event, a time, a word, numbers.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context, Error, bail};

/// Where the answer to a read came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// From the cache, or from a load of somebody else's.
    Cached,
    /// From this caller's own load.
    Loaded,
}

/// Whether a node hears the others, as its status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hears {
    /// It does.
    Coherent,
    /// It has lost its session, and may still serve.
    Suspect,
    /// It may not.
    Partitioned,
}

/// Something that happened. A version of a row has the number of the transaction that wrote it, and the first one 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are called what they are")]
pub enum Event {
    /// A row was written, in a transaction that holds the lock of the database.
    Wrote { transaction: u64, row: u64 },
    /// The database is about to be told to commit.
    Committing { transaction: u64 },
    /// It has, and the evictions were applied on this node, and are queued.
    Applied { transaction: u64 },
    /// The transaction was rolled back.
    RolledBack { transaction: u64 },
    /// The answer to the commit got lost, so what was written is evicted with a hold.
    InDoubt { transaction: u64 },
    /// It is not in doubt any more, and the evictions are queued for the second time.
    Settled { transaction: u64 },
    /// The broker has taken the evictions of the first so many transactions that this journal says are applied or settled.
    Flushed { transactions: u64 },
    /// The broker has taken the evictions of this one.
    Confirmed { transaction: u64 },
    /// A row was read; `within` a transaction, if that is not 0.
    Read { began: Duration, row: u64, version: u64, how: How, within: u64 },
    /// All is quiet, and this is in the cache.
    Entry { row: u64, version: u64 },
    /// How the node is doing, every now and then: its memory in bytes, what is in its outbox, how many sessions it has had, and
    /// how many of them have resumed.
    Status { hears: Hears, outbox: u64, memory: u64, sessions: u64, resumed: u64 },
    /// What it has counted until its end: frames that were missing, caches that were cleared.
    Counted { gaps: u64, cleared: u64 },
    /// Something begins to go wrong. Of the driver, as all that follow.
    Fault { kind: String, node: Option<usize> },
    /// It is over.
    Healed { kind: String, node: Option<usize> },
    /// The broker can be used again.
    Returned,
    /// The process of a node begins.
    Born { node: usize, incarnation: usize },
    /// It was killed, and writes nothing down any more.
    Died { incarnation: usize },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = |node: &Option<usize>| node.map_or_else(|| "-".to_owned(), |node| node.to_string());
        match self {
            Self::Wrote { transaction, row } => write!(f, "wrote {transaction} {row}"),
            Self::Committing { transaction } => write!(f, "committing {transaction}"),
            Self::Applied { transaction } => write!(f, "applied {transaction}"),
            Self::RolledBack { transaction } => write!(f, "rolled-back {transaction}"),
            Self::InDoubt { transaction } => write!(f, "in-doubt {transaction}"),
            Self::Settled { transaction } => write!(f, "settled {transaction}"),
            Self::Flushed { transactions } => write!(f, "flushed {transactions}"),
            Self::Confirmed { transaction } => write!(f, "confirmed {transaction}"),
            Self::Read { began, row, version, how, within } => {
                let how = if *how == How::Cached { "cached" } else { "loaded" };
                write!(f, "read {} {row} {version} {how} {within}", began.as_nanos())
            }
            Self::Entry { row, version } => write!(f, "entry {row} {version}"),
            Self::Status { hears, outbox, memory, sessions, resumed } => {
                let hears = match hears {
                    Hears::Coherent => "coherent",
                    Hears::Suspect => "suspect",
                    Hears::Partitioned => "partitioned",
                };
                write!(f, "status {hears} {outbox} {memory} {sessions} {resumed}")
            }
            Self::Counted { gaps, cleared } => write!(f, "counted {gaps} {cleared}"),
            Self::Fault { kind, node } => write!(f, "fault {kind} {}", target(node)),
            Self::Healed { kind, node } => write!(f, "healed {kind} {}", target(node)),
            Self::Returned => f.write_str("returned"),
            Self::Born { node, incarnation } => write!(f, "born {node} {incarnation}"),
            Self::Died { incarnation } => write!(f, "died {incarnation}"),
        }
    }
}

impl FromStr for Event {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let mut next = || words.next().with_context(|| format!("`{line}` is too short"));
        let number = |word: &str| word.parse::<u64>().with_context(|| format!("no number in `{line}`"));
        let index = |word: &str| word.parse::<usize>().with_context(|| format!("no number in `{line}`"));
        let target = |word: &str| if word == "-" { Ok(None) } else { index(word).map(Some) };
        Ok(match word {
            "wrote" => Self::Wrote { transaction: number(next()?)?, row: number(next()?)? },
            "committing" => Self::Committing { transaction: number(next()?)? },
            "applied" => Self::Applied { transaction: number(next()?)? },
            "rolled-back" => Self::RolledBack { transaction: number(next()?)? },
            "in-doubt" => Self::InDoubt { transaction: number(next()?)? },
            "settled" => Self::Settled { transaction: number(next()?)? },
            "flushed" => Self::Flushed { transactions: number(next()?)? },
            "confirmed" => Self::Confirmed { transaction: number(next()?)? },
            "read" => Self::Read {
                began: Duration::from_nanos(number(next()?)?),
                row: number(next()?)?,
                version: number(next()?)?,
                how: match next()? {
                    "cached" => How::Cached,
                    "loaded" => How::Loaded,
                    _ => bail!("`{line}` does not say how"),
                },
                within: number(next()?)?,
            },
            "entry" => Self::Entry { row: number(next()?)?, version: number(next()?)? },
            "status" => Self::Status {
                hears: match next()? {
                    "coherent" => Hears::Coherent,
                    "suspect" => Hears::Suspect,
                    "partitioned" => Hears::Partitioned,
                    _ => bail!("`{line}` does not say how the node is doing"),
                },
                outbox: number(next()?)?,
                memory: number(next()?)?,
                sessions: number(next()?)?,
                resumed: number(next()?)?,
            },
            "counted" => Self::Counted { gaps: number(next()?)?, cleared: number(next()?)? },
            "fault" => Self::Fault { kind: next()?.to_owned(), node: target(next()?)? },
            "healed" => Self::Healed { kind: next()?.to_owned(), node: target(next()?)? },
            "returned" => Self::Returned,
            "born" => Self::Born { node: index(next()?)?, incarnation: index(next()?)? },
            "died" => Self::Died { incarnation: index(next()?)? },
            _ => bail!("`{line}` is no event"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let began = Duration::from_nanos(12);
        for event in [
            Event::Wrote { transaction: 1, row: 2 },
            Event::Committing { transaction: 1 },
            Event::Applied { transaction: 1 },
            Event::RolledBack { transaction: 1 },
            Event::InDoubt { transaction: 1 },
            Event::Settled { transaction: 1 },
            Event::Flushed { transactions: 1 },
            Event::Confirmed { transaction: 1 },
            Event::Read { began, row: 1, version: u64::MAX, how: How::Cached, within: 3 },
            Event::Read { began, row: 1, version: 2, how: How::Loaded, within: 0 },
            Event::Entry { row: 1, version: 2 },
            Event::Status { hears: Hears::Coherent, outbox: 1, memory: 2, sessions: 3, resumed: 4 },
            Event::Status { hears: Hears::Suspect, outbox: 1, memory: 2, sessions: 3, resumed: 4 },
            Event::Status { hears: Hears::Partitioned, outbox: 1, memory: 2, sessions: 3, resumed: 4 },
            Event::Counted { gaps: 1, cleared: 2 },
            Event::Fault { kind: "broker-killed".into(), node: None },
            Event::Healed { kind: "stalled".into(), node: Some(1) },
            Event::Returned,
            Event::Born { node: 1, incarnation: 2 },
            Event::Died { incarnation: 2 },
        ] {
            assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
        }
        assert!("read 1 2".parse::<Event>().is_err() && "".parse::<Event>().is_err());
    }
}
