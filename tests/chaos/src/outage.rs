//! What memory and queues do while the broker stays away under write load: nothing.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::{
    NODES,
    event::Event,
    faults::{Fault, control},
    journal::Merged,
    node::Transport,
    run::{Author, World},
};

/// How long all is well before the outage, and is watched after it.
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(15);
/// What may come on top between the middle of an outage and its end: allocators, the journal's buffer.
const ALLOWED_MEMORY: u64 = 4 << 20;
const ALLOWED_KEYS: u64 = 64;
/// More messages than that in all queues, when all have recovered, is a backlog.
const ALLOWED_MESSAGES: u64 = 200;

/// A tenth of an outage, at its first, in its middle, and at its last: the most that there was.
type Thirds = [u64; 3];

/// What came of an outage.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// How long it was.
    pub length: Duration,
    /// The memory of each node in bytes.
    pub memory: [Thirds; NODES],
    /// What was in its outbox.
    pub outbox: [Thirds; NODES],
    /// How many messages were in all queues, every second after it.
    pub depths: Vec<u64>,
}

impl Judgement {
    /// Whether nothing has grown.
    pub fn is_flat(&self) -> bool {
        let is_flat = |[_, middle, last]: &Thirds, allowed| *last <= middle + middle / 20 + allowed;
        self.memory.iter().all(|memory| is_flat(memory, ALLOWED_MEMORY))
            && self.outbox.iter().all(|outbox| is_flat(outbox, ALLOWED_KEYS))
            && self.depths.last().is_none_or(|depth| *depth <= ALLOWED_MESSAGES)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "outage of {:.0} s, at its first, in its middle, at its last", self.length.as_secs_f64())?;
        for node in 0..NODES {
            let [first, middle, last] = self.memory[node].map(|bytes| bytes >> 10);
            writeln!(f, "  {:<40}{first} KiB, {middle} KiB, {last} KiB", format!("memory of node {node}"))?;
            let [first, middle, last] = self.outbox[node];
            writeln!(f, "  {:<40}{first}, {middle}, {last}", "its outbox, keys and tags")?;
        }
        let depths: Vec<_> = self.depths.iter().map(ToString::to_string).collect();
        writeln!(f, "  {:<40}{}", "messages in queues, second by second", depths.join(", "))?;
        writeln!(f, "  {}", if self.is_flat() { "flat" } else { "IT GROWS" })
    }
}

/// Lets the broker be away for so long; returns how many messages were in the queues after it.
pub async fn carry_out(world: &World, length: Duration) -> Result<Vec<u64>> {
    sleep(BEFORE).await;
    world.happens(Fault::BrokerKilled(length)).await?;
    let mut depths = Vec::new();
    // What is in a stream is what it keeps, and no backlog.
    let watched = if world.options.transport == Transport::Queues { AFTER } else { Duration::ZERO };
    for _ in 0..watched.as_secs() {
        let queues = control(world, &["list_queues", "messages", "--no-table-headers"]).await?;
        depths.push(queues.lines().filter_map(|messages| messages.trim().parse::<u64>().ok()).sum());
        sleep(Duration::from_secs(1)).await;
    }
    Ok(depths)
}

/// What the journals say of an outage.
pub fn judge(authors: &[Author], depths: Vec<u64>) -> Result<Judgement> {
    let mut merged = Merged::open(authors.iter().map(|author| author.journal.clone()))?;
    let (mut began, mut ended, mut samples) = (None, None, Vec::new());
    while let Some((at, author, event)) = merged.pull()? {
        match (event, authors[author].process) {
            (Event::Fault { .. }, _) => began = Some(at),
            (Event::Healed { .. }, _) => ended = Some(at),
            (Event::Status { outbox, memory, .. }, Some((node, _))) if began.is_some() && ended.is_none() => {
                samples.push((at, node, outbox, memory));
            }
            _ => {}
        }
    }
    let (began, ended) = (began.context("there was an outage")?, ended.context("it has ended")?);
    let length = ended.saturating_sub(began);
    let tenth = length / 10;
    // Not from the very first: what is to be flat has to be there first.
    let windows = [began + tenth / 2, began + tenth * 9 / 2, began + tenth * 9].map(|from| from..from + tenth);
    let most = |of: usize, what: fn(&(Duration, usize, u64, u64)) -> u64| {
        windows.clone().map(|window| {
            let seen = samples.iter().filter(|(at, node, ..)| *node == of && window.contains(at));
            seen.map(what).max().unwrap_or_default()
        })
    };
    Ok(Judgement {
        length,
        memory: std::array::from_fn(|node| most(node, |sample| sample.3)),
        outbox: std::array::from_fn(|node| most(node, |sample| sample.2)),
        depths,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is said of an outage of a second in which a node's memory grows to so many MiB in its second half.
    fn outage(last: u64) -> Judgement {
        let folder = tempfile::tempdir().unwrap();
        let [driver, node] = ["driver", "node"].map(|name| folder.path().join(name));
        fs::write(&driver, "1000000000 fault broker-killed -\n2000000000 healed broker-killed -\n").unwrap();
        let sample = |tenth: u64| {
            let memory = if tenth > 5 { last } else { 50 } << 20;
            format!("{} status partitioned 7 {memory} 1 0\n", 1_000_000_000 + tenth * 100_000_000)
        };
        fs::write(&node, (0..20).map(sample).collect::<String>()).unwrap();
        let authors = [(None, driver), (Some((0, 1)), node)];
        judge(&authors.map(|(process, journal)| Author { process, journal }), vec![9, 0]).unwrap()
    }

    #[test]
    fn memory_that_is_higher_at_the_end_of_an_outage_than_in_its_middle_is_not_flat() {
        assert_eq!(outage(60).memory[0], [50 << 20, 50 << 20, 60 << 20]);
        assert!(!outage(60).is_flat());
        assert!(outage(52).is_flat());
    }
}
