//! What a miss costs whose body returns at once, what evicting costs, and how long a stampede takes.

use std::{
    convert::Infallible,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use cachesync::{Cache, Transaction, cacheable};
use cachesync_benches::{
    is_quick,
    node::{self, CAPACITY, Node},
    numbers::{count, nanoseconds},
    rounds::{Rounds, block_on},
    row::Row,
};
use quick_cache::sync::Cache as Bare;

type Users = Cache<u64, Arc<u64>>;

/// How long one load of a stampede takes.
const LOAD: Duration = Duration::from_millis(100);

#[cacheable(cache = "slow", key = id)]
async fn slow(id: u64) -> Arc<u64> {
    tokio::time::sleep(LOAD).await;
    Arc::new(id)
}

fn main() {
    let node = Node::start(["slow".to_owned()]);
    let rounds = Rounds { rounds: if is_quick() { 5 } else { 101 }, threads: 1, calls: 20_000 };
    let users = node.registry.cache::<u64, Arc<u64>>("users").expect("it has these types");
    miss(&node, &users, rounds);
    evict(&node, &users, rounds);
    commit(&node, &users, rounds);
    for (keys, tasks) in [(1, 1_000), (100, 100)] {
        stampede(&node, keys, tasks, if is_quick() { 3 } else { 21 });
    }
}

fn miss(node: &Node, users: &Users, rounds: Rounds) {
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    let before = node.registry.stats().caches["users"].loads;
    let ours = |calls| {
        users.evict_all();
        timed(calls, node::user)
    };
    let theirs = |calls| {
        bare.clear();
        timed(calls, async |id| {
            let Ok(value) = bare.get_or_insert_async(&id, async { Ok::<_, Infallible>(Arc::new(id)) }).await;
            value
        })
    };
    let ratio = rounds.compare(ours, theirs);
    assert_eq!(node.registry.stats().caches["users"].loads - before, rounds.calls_in_all(), "all were misses");
    Row::new("miss", "miss, body returns at once")
        .against("quick_cache `get_or_insert_async`", ratio.median)
        .bar(2.0)
        .note(ratio.note())
        .print();
}

/// As [`cachesync_benches::rounds::timed`], with each key once.
fn timed<T>(calls: u64, call: impl AsyncFn(u64) -> T) -> Duration {
    block_on(async {
        let started = Instant::now();
        for key in 0..calls {
            black_box(call(black_box(scattered(key))).await);
        }
        started.elapsed()
    })
}

/// Another number for each number, in no order.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn evict(node: &Node, users: &Users, rounds: Rounds) {
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    for (what, present) in [("`evict` of a present key", true), ("`evict` of an absent key", false)] {
        let cached = |calls| if present { calls } else { 0 };
        let ours = |calls| {
            prepare(node, users, cached(calls));
            each(calls, |key| users.evict(&key))
        };
        let theirs = |calls| {
            prepare_bare(&bare, cached(calls));
            each(calls, |key| bare.remove(&key))
        };
        let ratio = rounds.compare(ours, theirs);
        Row::new("evict", what)
            .against("quick_cache `remove`", ratio.median)
            .note(format!("queued for the broadcast, too; {}", ratio.note()))
            .print();
    }
}

/// Caches this many keys, and nothing else.
///
/// Nothing waits for the broker then: what is evicted while the whole cache waits to be is not queued any more.
fn prepare(node: &Node, users: &Users, keys: u64) {
    users.evict_all();
    node.block_on(node.registry.flush()).expect("the broker is here");
    // As loads do, and not by `insert`, which is an eviction for the others.
    (0..keys).map(scattered).for_each(|key| _ = users.reserve(&key).fill(Arc::new(key)));
}

fn prepare_bare(bare: &Bare<u64, Arc<u64>>, keys: u64) {
    bare.clear();
    (0..keys).map(scattered).for_each(|key| bare.insert(key, Arc::new(key)));
}

fn each<T>(calls: u64, call: impl Fn(u64) -> T) -> Duration {
    let started = Instant::now();
    for key in 0..calls {
        black_box(call(black_box(scattered(key))));
    }
    started.elapsed()
}

fn commit(node: &Node, users: &Users, rounds: Rounds) {
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    for (what, keys) in [("1 key", 1), ("100 keys", 100), ("10,000 keys", 10_000)] {
        let ours = |calls| {
            prepare(node, users, calls);
            let all: Vec<_> = (0..calls).map(scattered).collect();
            // Around all of them: reading the clock takes half as long as a bare `remove`.
            let started = Instant::now();
            for keys in all.chunks(keys) {
                let transaction = Transaction::begin();
                block_on_ready(transaction.scope(async { users.evict_many(keys.iter().copied()) }));
                drop(transaction.commit());
            }
            let took = started.elapsed();
            assert!(users.is_empty(), "all of them are evicted");
            took
        };
        let theirs = |calls| {
            prepare_bare(&bare, calls);
            each(calls, |key| bare.remove(&key))
        };
        let ratio = rounds.compare(ours, theirs);
        Row::new("evict", format!("transaction that evicts {what}, and its commit"))
            .against("quick_cache `remove`", ratio.median)
            .note(format!("for each key; {}", ratio.note()))
            .print();
    }
}

/// Runs a future that waits for nothing.
fn block_on_ready<F: Future>(future: F) -> F::Output {
    futures_util::FutureExt::now_or_never(future).expect("it waits for nothing")
}

/// How much longer than one load so many tasks wait for the same cold keys.
fn stampede(node: &Node, keys: u64, tasks: usize, rounds: u32) {
    let cache = node.registry.cache::<u64, Arc<u64>>("slow").expect("it has these types");
    let loads = || node.registry.stats().caches["slow"].loads;
    let before = loads();
    let together = |calls: u64| {
        assert_eq!(calls, 1);
        cache.evict_all();
        node.block_on(async {
            let started = Instant::now();
            let spawn = |key| (0..tasks).map(move |_| tokio::spawn(slow(key)));
            // One after the other: to be told by each of them that it has ended would cost as much as their waiting.
            for call in (0..keys).flat_map(spawn).collect::<Vec<_>>() {
                call.await.expect("it does not panic");
            }
            started.elapsed()
        })
    };
    let alone = |_| {
        node.block_on(async {
            let started = Instant::now();
            tokio::time::sleep(LOAD).await;
            started.elapsed()
        })
    };
    let ratio = Rounds { rounds, threads: 1, calls: 1 }.compare(together, alone);
    let each = count(loads() - before) / f64::from(rounds) / count(keys);
    Row::new("stampede", format!("{tasks} tasks on each of {keys} cold keys"))
        .against("one load", ratio.median)
        .bar(1.2)
        .note(format!(
            "{each:.2} loads for each key; {:.1} ms to {:.1} ms",
            ratio.nanoseconds.0 / nanoseconds(Duration::from_millis(1)),
            ratio.nanoseconds.1 / nanoseconds(Duration::from_millis(1)),
        ))
        .print();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_evicted_is_cached_and_its_eviction_is_queued() {
        let node = Node::start([]);
        let users = node.registry.cache("users").expect("it has these types");
        for keys in [10_000, 100, 0] {
            prepare(&node, &users, keys);
            assert_eq!(users.len() as u64, keys);
            let outbox = node.registry.status().outbox;
            assert_eq!((outbox.whole_caches, outbox.keys), (0, 0), "{outbox:?}");
        }
    }
}
