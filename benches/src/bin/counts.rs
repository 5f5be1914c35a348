//! What is counted and does not depend on time: allocations of a hit, loads of a stampede.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use allocation_counter::measure;
use anyhow::{Context, Result};
use cachesync::cacheable;
use cachesync_benches::{
    node::{self, Node},
    numbers::count,
    row::Row,
};
use futures_util::{FutureExt, future::join_all};

static LOADS: AtomicU64 = AtomicU64::new(0);

#[cacheable(cache = "slow", key = id)]
async fn slow(id: u64) -> Arc<u64> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(20)).await;
    Arc::new(id)
}

fn main() -> Result<()> {
    let node = Node::start(["slow".to_owned()]);
    allocations("`u64` key", || node::user(7))?;
    allocations("`&str` key", || node::name("Ada"))?;
    allocations("`(u32, &str)` key", || node::pair(7, "Ada"))?;
    loads(&node, 1, 1_000);
    loads(&node, 100, 100);
    Ok(())
}

fn allocations<F: Future>(what: &str, call: impl Fn() -> F) -> Result<()> {
    const HITS: u32 = 10_000;
    // The first fills; the second remembers what a thread keeps for itself.
    for _ in 0..2 {
        call().now_or_never().context("a body that waits for nothing waits")?;
    }
    let mut ready = true;
    let counted = measure(|| (0..HITS).for_each(|_| ready &= call().now_or_never().is_some()));
    anyhow::ensure!(ready, "a hit waited");
    Row::new("counts", format!("allocations of a hit, {what}"))
        .ratio(count(counted.count_total) / f64::from(HITS))
        .bar(0.0)
        .print();
    Ok(())
}

/// This many tasks on each of so many cold keys.
fn loads(node: &Node, keys: u64, tasks: usize) {
    let users = node.registry.cache::<u64, Arc<u64>>("slow").expect("it has these types");
    users.evict_all();
    LOADS.store(0, Ordering::Relaxed);
    let calls = (0..keys).flat_map(|key| (0..tasks).map(move |_| tokio::spawn(slow(key))));
    node.block_on(async { join_all(calls).await });
    Row::new("counts", format!("loads for each key, {tasks} tasks on each of {keys} cold keys"))
        .ratio(count(LOADS.load(Ordering::Relaxed)) / count(keys))
        .bar(1.0)
        .print();
}
