//! What a hit costs, beside bare `quick_cache` and what one would pick instead.

use std::{env, sync::Arc};

use anyhow::{Result, bail};
use cachesync::Transaction;
use cachesync_benches::{
    instances::{Sampled, gather},
    is_quick,
    node::{self, CAPACITY, Node},
    numbers::grouped,
    peers,
    rounds::{Keys, Rounds, block_on, timed},
    row::Row,
    users::{BASELINE, Users, hits},
};
use quick_cache::sync::Cache as Bare;

const GROUP: &str = "hit";
const PEERS: &str = "hit, beside peers";
/// By which this program is told to be one of several.
const KEYS: &str = "--keys";

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--quick").collect();
    match &arguments[..] {
        [] => all(),
        [argument, keys] if argument == KEYS => {
            instance(keys.parse()?);
            Ok(())
        }
        _ => bail!("called with what it does not know: {arguments:?}"),
    }
}

fn all() -> Result<()> {
    let mut rows = Vec::new();
    for keys in ["1000", "100000"] {
        rows.extend(gather(if is_quick() { 3 } else { 10 }, &[KEYS, keys])?);
    }
    // All of a group together, in the order in which they were measured.
    rows.sort_by_key(|row| row.group == PEERS);
    rows.iter().for_each(Row::print);
    Ok(())
}

/// What each process measures.
fn instance(keys: u64) {
    let node = Node::start([]);
    let (rounds, peers) = if is_quick() { (3, 2) } else { (31, 7) };
    let users = Users::fill(keys, CAPACITY);
    for threads in [1, 2] {
        numbers(&node, &users, keys, Rounds { rounds, threads, calls: users.calls() });
        beside_peers(&node, keys, Rounds { rounds: peers, threads, calls: users.calls() / 4 });
    }
    if keys == 1_000 {
        for threads in [1, 2] {
            texts(&node, Rounds { rounds, threads, calls: users.calls() });
        }
        in_transaction(&node, Rounds { rounds, threads: 1, calls: users.calls() });
    }
}

/// Loads each key.
fn fill<T>(keys: u64, call: impl AsyncFn(u64) -> T) {
    block_on(async {
        for key in 0..keys {
            call(key).await;
        }
    });
}

fn what(key: &str, keys: u64, rounds: Rounds) -> String {
    let tasks = if rounds.threads == 1 { "1 task" } else { "2 tasks" };
    format!("{key}, {} keys, {tasks}", grouped(keys))
}

fn compared(group: &str, what: impl Into<String>, against: &str, bar: f64) -> Row {
    Row::new(group, what).beside(against).bar(bar)
}

fn numbers(node: &Node, users: &Users, keys: u64, rounds: Rounds) {
    let bar = if keys == 1_000 { 1.6 } else { 1.3 };
    Sampled::new(compared(GROUP, what("`u64` key", keys, rounds), BASELINE, bar), users.samples(node, rounds)).tell();
}

fn beside_peers(node: &Node, keys: u64, rounds: Rounds) {
    macro_rules! beside {
        ($($peer:ident: $name:literal,)*) => {$(
            fill(keys, peers::$peer);
            let samples = node.all_hits("users", rounds.calls_in_all(), || {
                rounds.samples(hits(rounds, keys, node::user), hits(rounds, keys, peers::$peer))
            });
            Sampled::new(compared(PEERS, what("`u64` key", keys, rounds), $name, 1.0), samples).tell();
        )*};
    }
    beside! {
        by_concurrent_cached: "cached `#[concurrent_cached]`, ttl",
        by_cached: "cached `#[cached]`, ttl",
        by_cached_by_key: "cached `#[cached(sync_writes = \"by_key\")]`, ttl",
        by_foyer: "foyer `get`",
        by_moka: "moka `get_with`, ttl",
        by_cachelito: "cachelito-async `#[cache_async]`, ttl, without a limit",
        by_hydracache: "hydracache `get_or_insert_with`, ttl",
        by_accelerator: "accelerator, moka alone, ttl",
    }
}

fn texts(node: &Node, rounds: Rounds) {
    let texts: Vec<_> = (0..1_000).map(|number| format!("name-{number}")).collect();
    let text = |key: u64| texts[index(key)].as_str();
    let names: Bare<String, Arc<u64>> = Bare::new(CAPACITY);
    let pairs: Bare<(u32, String), Arc<u64>> = Bare::new(CAPACITY);
    // In turns, as in `Users::fill`.
    fill(1_000, async |key| (node::name(text(key)).await, node::bare_name(&names, text(key)).await));
    fill(1_000, async |key| {
        (node::pair(small(key), text(key)).await, node::bare_pair(&pairs, small(key), text(key)).await)
    });

    let by_name = node.all_hits("names", rounds.calls_in_all(), || {
        rounds.samples(
            hits(rounds, 1_000, |key| node::name(text(key))),
            hits(rounds, 1_000, |key| node::bare_name(&names, text(key))),
        )
    });
    let by_pair = node.all_hits("pairs", rounds.calls_in_all(), || {
        rounds.samples(
            hits(rounds, 1_000, |key| node::pair(small(key), text(key))),
            hits(rounds, 1_000, |key| node::bare_pair(&pairs, small(key), text(key))),
        )
    });
    for (key, samples) in [("`&str` key", by_name), ("`(u32, &str)` key", by_pair)] {
        let row = compared(GROUP, what(key, 1_000, rounds), "quick_cache with the same borrowed lookup", 1.6);
        Sampled::new(row, samples).tell();
    }
}

fn in_transaction(node: &Node, rounds: Rounds) {
    let users = node.registry.cache::<u64, Arc<u64>>("users").expect("it has these types");
    let inside = |calls: u64| {
        let transaction = Transaction::begin();
        block_on(transaction.scope(async {
            users.evict_many((0..100_u64).map(|other| u64::MAX - other));
            timed(rounds.clock(), calls, Keys::below(1_000), node::user).await
        }))
    };
    let samples =
        node.all_hits("users", 2 * rounds.calls_in_all(), || rounds.samples(inside, hits(rounds, 1_000, node::user)));
    let what = "in a transaction with 100 pending evictions of other keys";
    Sampled::new(compared(GROUP, what, "the same hit outside", 2.0), samples).tell();
}

fn index(key: u64) -> usize {
    usize::try_from(key).expect("a key below 1,000")
}

fn small(key: u64) -> u32 {
    u32::try_from(key).expect("a key below 1,000")
}
