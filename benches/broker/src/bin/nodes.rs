//! How many messages there are at 10, 100 and 1,000 nodes, by a memory backend that counts: no broker, and no time but that
//! of the program's own clock.
//!
//! All nodes have one cache, and a tenth of them another.

use std::time::Duration;

use anyhow::Result;
use cachesync::{CacheConfig, Committed, Registry, Transaction};
use cachesync_benches_report::{
    numbers::{count, grouped},
    row::Row,
};
use cachesync_tests::counting::{CountingBackend, Counts};
use tokio::time::{interval, sleep};

const COMMITS: u32 = 100;
const AT_ONCE: u32 = 1_000;
/// Commits a second over all nodes, as of the team that this was made for, and for how many seconds.
const PER_SECOND: u32 = 200;
const STEADY: u32 = 10;
const SECONDS: u32 = 30;
/// In which what is silent gets its trailers.
const SILENCE: Duration = Duration::from_secs(10);

struct Service {
    backend: CountingBackend,
    nodes: Vec<Registry>,
}

impl Service {
    async fn of(nodes: usize) -> Result<Self> {
        let mut service = Self { backend: CountingBackend::default(), nodes: Vec::new() };
        for index in 0..nodes {
            let mut node = Registry::builder().namespace("nodes").cache(CacheConfig::new("everywhere"));
            if index < nodes / 10 {
                node = node.cache(CacheConfig::new("here-and-there"));
            }
            service.nodes.push(node.backend(service.backend.clone()).start().await?);
        }
        // In the order of their starts they would all send heartbeats at the same moment, which is no matter here.
        sleep(SILENCE).await;
        Ok(service)
    }

    /// What is counted while `act` runs, and then until nothing is under way.
    async fn count(&self, act: impl AsyncFnOnce(&[Registry]) -> Result<()>) -> Result<Counts> {
        let before = self.backend.counts();
        act(&self.nodes).await?;
        // Time stands still until all of them have nothing left to do.
        sleep(Duration::from_nanos(1)).await;
        Ok(self.backend.counts() - before)
    }
}

/// Nobody does anything for so long.
async fn pass(time: Duration) -> Result<()> {
    sleep(time).await;
    Ok(())
}

/// A commit of one key, by one node after the other.
async fn commit(nodes: &[Registry], cache: &str, number: u32) -> Result<Committed> {
    let node = &nodes[usize::try_from(number)? % nodes.len()];
    let cache = node.cache::<u32, ()>(cache)?;
    let transaction = Transaction::begin();
    transaction.scope(async { cache.evict(&number) }).await;
    Ok(transaction.commit())
}

/// Each when the one before is confirmed.
async fn commit_one_by_one(nodes: &[Registry], cache: &str) -> Result<()> {
    for number in 0..COMMITS {
        commit(nodes, cache, number).await?.confirmed().await?;
    }
    Ok(())
}

/// So many a second, by one node after the other, for some seconds.
async fn commit_steadily(nodes: &[Registry], cache: &str) -> Result<()> {
    let mut pace = interval(Duration::from_secs(1) / PER_SECOND);
    for number in 0..PER_SECOND * STEADY {
        pace.tick().await;
        drop(commit(nodes, cache, number).await?);
    }
    Ok(())
}

/// All before the first is confirmed.
async fn commit_at_once(nodes: &[Registry], cache: &str) -> Result<()> {
    for number in 0..AT_ONCE {
        drop(commit(nodes, cache, number).await?);
    }
    for node in nodes {
        node.flush().await?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    for nodes in [10, 100, 1_000] {
        let service = Service::of(nodes).await?;
        let row = |what: &str, number: f64, note: String| {
            let what = format!("{} nodes: {what}", grouped(nodes as u64));
            Row::new("growth in nodes", what).ratio(number).note(note).print();
        };
        let everywhere = service.count(async |nodes| commit_one_by_one(nodes, "everywhere").await).await?;
        let note = format!("{:.0} bytes each", count(everywhere.bytes) / f64::from(COMMITS));
        row("messages to the broker for a commit of one key", count(everywhere.published) / f64::from(COMMITS), note);
        let note = "one for each node that has the cache, also the one that sent it";
        row("messages from the broker for it", count(everywhere.delivered) / f64::from(COMMITS), note.into());
        let some = |nodes: &[Registry]| nodes[..nodes.len() / 10].to_vec();
        let here = service.count(async |nodes| commit_one_by_one(&some(nodes), "here-and-there").await).await?;
        let note = "the same";
        row(
            "messages from the broker if a tenth of the nodes have the cache",
            count(here.delivered) / f64::from(COMMITS),
            note.into(),
        );
        let trailers = service.count(async |_| pass(SILENCE).await).await?;
        let note = "trailers: one for each cache of each node that has evicted from it and then been silent";
        row("messages to the broker after these", count(trailers.published), note.into());
        let steady = service.count(async |nodes| commit_steadily(nodes, "everywhere").await).await?;
        let per_second = |counted: u64| count(counted) / f64::from(STEADY);
        let note = format!(
            "{} from the broker; a node that commits less than once a second sends a trailer after each",
            grouped(steady.delivered / u64::from(STEADY))
        );
        row("messages to the broker per second at 200 commits/s over all nodes", per_second(steady.published), note);
        sleep(SILENCE).await;
        for (whose, some) in [("one node", &service.nodes[..1]), ("all nodes in turn", &service.nodes[..])] {
            let counts = service.count(async |_| commit_at_once(some, "everywhere").await).await?;
            let note =
                format!("{} from the broker; what waits for a confirm goes out together", grouped(counts.delivered));
            let what = format!("messages to the broker for 1,000 commits at once, by {whose}");
            row(&what, count(counts.published), note);
        }
        let many = service
            .count(async |nodes| {
                nodes[0].cache::<u32, ()>("everywhere")?.evict_many(0..50_000);
                Ok(nodes[0].flush().await?)
            })
            .await?;
        let note = format!("{} KB in all", many.bytes / 1_000);
        row("messages to the broker for 50,000 evictions at once", count(many.published), note);
        sleep(SILENCE).await;
        let rest = service.count(async |_| pass(Duration::from_secs(1) * SECONDS).await).await?;
        assert_eq!(rest.published, 0, "at rest");
        let note = "heartbeats, each of which comes back to its own node and to no other";
        row("messages to the broker per second at rest", count(rest.heartbeats) / f64::from(SECONDS), note.into());
    }
    Ok(())
}
