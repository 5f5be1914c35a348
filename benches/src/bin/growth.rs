//! What a hit costs as keys, caches and nodes become many: flat, if it is as it should be.
//!
//! Each point is a process of its own, since a process has one installed registry, and what is printed is the ratio to bare
//! `quick_cache`, measured in the same rounds.

use std::{env, hint::black_box, process::Command, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use cachesync::{Registry, UnknownCaches, memory::MemoryBackend};
use cachesync_benches::{
    is_quick,
    node::{self, CAPACITY, Node},
    rounds::{Keys, Rounds, block_on, timed},
    row::Row,
};
use quick_cache::sync::Cache as Bare;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--quick").collect();
    match &arguments[..] {
        [] => all(),
        [kind, number] => point(kind, number.parse()?),
        _ => bail!("called with what it does not know: {arguments:?}"),
    }
}

fn all() -> Result<()> {
    let keys: &[u64] = if is_quick() { &[1_000, 100_000] } else { &[1_000, 10_000, 100_000, 1_000_000, 10_000_000] };
    for (kind, numbers) in [("keys", keys), ("caches", &[1, 10, 100, 1_000]), ("nodes", &[1, 10, 50, 200])] {
        for number in numbers {
            let mut command = Command::new(env::current_exe()?);
            command.args([kind, &number.to_string()]).args(is_quick().then_some("--quick"));
            let status = command.status().context("this program cannot be started again")?;
            ensure!(status.success(), "{kind} {number}: {status}");
        }
    }
    Ok(())
}

fn point(kind: &str, number: u64) -> Result<()> {
    let (keys, caches, nodes) = match kind {
        "keys" => (number, 0, 0),
        "caches" => (1_000, number - 1, 0),
        "nodes" => (1_000, 0, number - 1),
        _ => bail!("there is no kind {kind}"),
    };
    let backend = MemoryBackend::new();
    let capacity = CAPACITY.max(usize::try_from(2 * keys)?);
    let node = Node::start_with(backend.clone(), capacity, (0..caches).map(|number| format!("cache-{number}")));
    let others = (0..nodes).map(|_| {
        let builder = Registry::builder().namespace("bench").backend(backend.clone());
        node.block_on(builder.unknown_caches(UnknownCaches::Bypass).start())
    });
    let others: Vec<_> = others.collect::<Result<_, _>>()?;
    let bare: Bare<u64, Arc<u64>> = Bare::new(capacity);
    block_on(async {
        for key in 0..keys {
            black_box((node::user(key).await, node::bare_user(&bare, key).await));
        }
    });
    let rounds = Rounds { rounds: if is_quick() { 5 } else { 101 }, threads: 1, calls: 50_000 };
    let hits = |calls| -> Duration { block_on(timed(calls, Keys::below(keys), node::user)) };
    let theirs = |calls| block_on(timed(calls, Keys::below(keys), |id| node::bare_user(&bare, id)));
    let ratio = node.all_hits("users", rounds.calls_in_all(), || rounds.compare(hits, theirs));
    drop(others);
    Row::new("growth of a hit", format!("{number} {kind}"))
        .against("`async fn` around quick_cache `get`", ratio.median)
        .note(ratio.note())
        .print();
    Ok(())
}
