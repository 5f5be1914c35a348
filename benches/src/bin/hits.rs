//! What a hit costs, beside bare `quick_cache` and what one would pick instead.

use std::{hint::black_box, sync::Arc, time::Duration};

use cachesync::Transaction;
use cachesync_benches::{
    is_quick,
    node::{self, CAPACITY, Node},
    peers,
    rounds::{Keys, Rounds, block_on, timed},
    row::Row,
};
use quick_cache::sync::Cache as Bare;

const GROUP: &str = "hit";

fn main() {
    let node = Node::start([]);
    let (rounds, peers) = if is_quick() { (5, 1) } else { (301, 31) };
    for keys in [1_000, 100_000] {
        // At 100,000 keys a sample has to touch all of them.
        let calls = if keys == 1_000 { 50_000 } else { 200_000 } / if is_quick() { 10 } else { 1 };
        for threads in [1, 2] {
            numbers(&node, keys, Rounds { rounds, threads, calls });
            beside_peers(&node, keys, Rounds { rounds: peers, threads, calls: calls / 4 });
        }
    }
    for threads in [1, 2] {
        texts(&node, Rounds { rounds, threads, calls: 50_000 });
    }
    in_transaction(&node, Rounds { rounds, threads: 1, calls: 50_000 });
}

/// Loads each key.
fn fill<F: Future>(keys: u64, call: impl Fn(u64) -> F) {
    block_on(async {
        for key in 0..keys {
            black_box(call(key).await);
        }
    });
}

/// A sample of hits.
fn hits<'a, F: Future>(keys: u64, call: impl Fn(u64) -> F + Sync + 'a) -> impl Fn(u64) -> Duration + Sync + 'a {
    move |calls| block_on(timed(calls, Keys::below(keys), &call))
}

fn what(key: &str, keys: u64, rounds: Rounds) -> String {
    let keys = if keys == 1_000 { "1,000" } else { "100,000" };
    let tasks = if rounds.threads == 1 { "1 task" } else { "2 tasks" };
    format!("{key}, {keys} keys, {tasks}")
}

fn numbers(node: &Node, keys: u64, rounds: Rounds) {
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    fill(keys, node::user);
    fill(keys, |id| node::bare_user(&bare, id));
    let ratio = node.all_hits("users", rounds.calls_in_all(), || {
        rounds.compare(hits(keys, node::user), hits(keys, |id| node::bare_user(&bare, id)))
    });
    Row::new(GROUP, what("`u64` key", keys, rounds))
        .against("`async fn` around quick_cache `get`", ratio.median)
        .bar(if keys == 1_000 { 1.6 } else { 1.3 })
        .note(ratio.note())
        .print();
}

fn beside_peers(node: &Node, keys: u64, rounds: Rounds) {
    macro_rules! beside {
        ($($peer:ident: $name:literal,)*) => {$(
            fill(keys, peers::$peer);
            let ratio = node.all_hits("users", rounds.calls_in_all(), || {
                rounds.compare(hits(keys, node::user), hits(keys, peers::$peer))
            });
            Row::new("hit, beside peers", what("`u64` key", keys, rounds))
                .against($name, ratio.median)
                .bar(1.0)
                .note(ratio.note())
                .print();
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
    fill(1_000, |key| node::name(text(key)));
    fill(1_000, |key| node::bare_name(&names, text(key)));
    fill(1_000, |key| node::pair(small(key), text(key)));
    fill(1_000, |key| node::bare_pair(&pairs, small(key), text(key)));

    let by_name = node.all_hits("names", rounds.calls_in_all(), || {
        rounds.compare(hits(1_000, |key| node::name(text(key))), hits(1_000, |key| node::bare_name(&names, text(key))))
    });
    let by_pair = node.all_hits("pairs", rounds.calls_in_all(), || {
        rounds.compare(
            hits(1_000, |key| node::pair(small(key), text(key))),
            hits(1_000, |key| node::bare_pair(&pairs, small(key), text(key))),
        )
    });
    for (key, ratio) in [("`&str` key", by_name), ("`(u32, &str)` key", by_pair)] {
        Row::new(GROUP, what(key, 1_000, rounds))
            .against("quick_cache with the same borrowed lookup", ratio.median)
            .bar(1.6)
            .note(ratio.note())
            .print();
    }
}

fn in_transaction(node: &Node, rounds: Rounds) {
    const KEYS: u64 = 1_000;
    let users = node.registry.cache::<u64, Arc<u64>>("users").expect("it has these types");
    fill(KEYS, node::user);
    let inside = |calls: u64| {
        let transaction = Transaction::begin();
        block_on(transaction.scope(async {
            users.evict_many((0..100_u64).map(|other| u64::MAX - other));
            timed(calls, Keys::below(KEYS), node::user).await
        }))
    };
    let ratio = node.all_hits("users", 2 * rounds.calls_in_all(), || rounds.compare(inside, hits(KEYS, node::user)));
    Row::new(GROUP, "in a transaction with 100 pending evictions of other keys")
        .against("the same hit outside", ratio.median)
        .bar(2.0)
        .note(ratio.note())
        .print();
}

fn index(key: u64) -> usize {
    usize::try_from(key).expect("a key below 1,000")
}

fn small(key: u64) -> u32 {
    u32::try_from(key).expect("a key below 1,000")
}
