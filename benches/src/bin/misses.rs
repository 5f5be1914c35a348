//! What a miss costs whose body returns at once, what evicting costs, and how long a stampede takes.

use std::{
    cell::Cell,
    convert::Infallible,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    evict(&users, rounds);
    commit(&users, rounds);
    for (keys, tasks) in [(1, 1_000), (100, 100)] {
        stampede(&node, keys, tasks, if is_quick() { 3 } else { 21 });
    }
}

fn miss(node: &Node, users: &Cache<u64, Arc<u64>>, rounds: Rounds) {
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

fn evict(users: &Cache<u64, Arc<u64>>, rounds: Rounds) {
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    for (what, present) in [("`evict` of a present key", true), ("`evict` of an absent key", false)] {
        let fill =
            |calls: u64, insert: &dyn Fn(u64)| (0..calls).filter(|_| present).for_each(|key| insert(scattered(key)));
        let ours = |calls| {
            users.evict_all();
            fill(calls, &|key| users.insert(key, Arc::new(key)));
            each(calls, |key| users.evict(&key))
        };
        let theirs = |calls| {
            bare.clear();
            fill(calls, &|key| bare.insert(key, Arc::new(key)));
            each(calls, |key| bare.remove(&key))
        };
        let ratio = rounds.compare(ours, theirs);
        Row::new("evict", what)
            .against("quick_cache `remove`", ratio.median)
            .note(format!("queued for the broadcast, too; {}", ratio.note()))
            .print();
    }
}

fn each<T>(calls: u64, call: impl Fn(u64) -> T) -> Duration {
    let started = Instant::now();
    for key in 0..calls {
        black_box(call(black_box(scattered(key))));
    }
    started.elapsed()
}

fn commit(users: &Cache<u64, Arc<u64>>, rounds: Rounds) {
    let bare: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    for (what, keys) in [("1 key", 1), ("100 keys", 100), ("10,000 keys", 10_000)] {
        // Other keys each time, so that those of the last commit that still wait for the broker are not met again.
        let next = AtomicU64::new(0);
        let fresh = || next.fetch_add(keys, Ordering::Relaxed)..;
        let commits = |calls: u64| calls / keys;
        let ours = |calls| {
            users.evict_all();
            let mut time = Duration::ZERO;
            for _ in 0..commits(calls) {
                let range: Vec<_> = fresh().take(index(keys)).map(scattered).collect();
                for key in &range {
                    users.insert(*key, Arc::new(*key));
                }
                let transaction = Transaction::begin();
                let evicted = Cell::new(false);
                let evicting = async {
                    users.evict_many(range.iter().copied());
                    evicted.set(true);
                };
                let started = Instant::now();
                block_on_ready(transaction.scope(evicting));
                drop(transaction.commit());
                time += started.elapsed();
                assert!(evicted.get());
            }
            time
        };
        let theirs = |calls| {
            bare.clear();
            let mut time = Duration::ZERO;
            for _ in 0..commits(calls) {
                let range: Vec<_> = fresh().take(index(keys)).map(scattered).collect();
                for key in &range {
                    bare.insert(*key, Arc::new(*key));
                }
                let started = Instant::now();
                for key in &range {
                    black_box(bare.remove(key));
                }
                time += started.elapsed();
            }
            time
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

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
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
