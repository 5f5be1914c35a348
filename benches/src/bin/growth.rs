//! What a hit costs as keys, caches and nodes become many: flat, if it is as it should be.
//!
//! Each point is a few processes of its own, and what is printed is the ratio to bare `quick_cache`, measured in the same
//! rounds, as `hits` does.

use std::env;

use anyhow::{Result, bail};
use cachesync::{CacheConfig, Registry, UnknownCaches, memory::MemoryBackend};
use cachesync_benches::{
    instances::{Sampled, gather},
    is_quick,
    node::{CAPACITY, Node},
    numbers::grouped,
    rounds::Rounds,
    row::Row,
    users::{BASELINE, Users},
};

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
            // Those of the largest take half a minute each to be filled.
            let processes = if is_quick() {
                2
            } else if *number >= 1_000_000 {
                3
            } else {
                5
            };
            gather(processes, &[kind, &number.to_string()])?.iter().for_each(Row::print);
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
        // Small, since each makes room for its capacity at once.
        let users = CacheConfig::new("users").capacity(1_000);
        let builder = Registry::builder().namespace("bench").backend(backend.clone()).cache(users);
        node.block_on(builder.unknown_caches(UnknownCaches::Bypass).start())
    });
    let others: Vec<_> = others.collect::<Result<_, _>>()?;
    let users = Users::fill(keys, capacity);
    let rounds = Rounds { rounds: if is_quick() { 5 } else { 31 }, threads: 1, calls: users.calls() };
    let samples = users.samples(&node, rounds);
    drop(others);
    let what =
        if number == 1 { format!("1 {}", kind.trim_end_matches('s')) } else { format!("{} {kind}", grouped(number)) };
    Sampled::new(Row::new("growth of a hit", what).beside(BASELINE), samples).tell();
    Ok(())
}
