//! Instructions of a hit and of a miss, as callgrind counts them: the same on any machine with the same compiler, but for the
//! random numbers by which maps hash.
//!
//! The program runs itself under valgrind, twice for each subject, with calls and without: the difference is what the calls
//! cost, without start and end. The loop is a subject of its own, and subtracted.

use std::{
    env,
    hint::black_box,
    mem,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use cachesync::{CacheStats, Transaction};
use cachesync_benches::{
    is_quick,
    node::{self, CAPACITY, Node},
    rounds::block_on,
    row::Row,
};
use quick_cache::sync::Cache as Bare;

/// Keys of which there are as many as one of the maps' shards has; a power of two, so that the loop is short.
const KEYS: u64 = 512;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [subject, calls] = &arguments[..] {
        return repeat(subject, calls.parse()?);
    }
    let calls = if is_quick() { 50_000 } else { 200_000 };
    let empty = counted("loop", calls)?;
    let cost = |subject| Ok::<_, anyhow::Error>(counted(subject, calls)? - empty);
    for (what, subject, against, baseline, bar, limit) in [
        ("`u64` key", "number", "quick_cache `get`", "get", Some(2.0), 2.9),
        ("`u64` key", "number", "`async fn` around quick_cache `get`", "bare number", None, 2.25),
        ("`&str` key", "text", "quick_cache `get`", "get text", Some(2.0), 1.95),
        ("`&str` key", "text", "`async fn` around quick_cache `get`", "bare text", None, 1.6),
        ("`(u32, &str)` key", "pair", "quick_cache `get`", "get pair", Some(2.0), 1.95),
        ("`(u32, &str)` key", "pair", "`async fn` around quick_cache `get`", "bare pair", None, 1.65),
        ("in a transaction with pending evictions", "in transaction", "the same hit outside", "number", None, 2.7),
    ] {
        let (cost, baseline) = (cost(subject)?, cost(baseline)?);
        let mut row = Row::new("instructions of a hit", what).against(against, cost / baseline);
        (row.bar, row.limit) = (bar, Some(limit));
        row.note(format!("{cost:.0} to {baseline:.0} instructions")).print();
    }
    let (cost, baseline) = (cost("miss")?, cost("bare miss")?);
    let mut row = Row::new("instructions of a miss", "miss, body returns at once")
        .against("quick_cache `get_or_insert_async`", cost / baseline);
    row.limit = Some(2.25);
    row.note(format!("{cost:.0} to {baseline:.0} instructions")).print();
    Ok(())
}

/// Instructions of a call.
fn counted(subject: &str, calls: u32) -> Result<f64> {
    // Without any, and not with half as many: each process hashes in its own way, and that of both would be in the difference.
    Ok((collected(subject, calls)? - collected(subject, 0)?) / f64::from(calls))
}

/// Instructions of a whole run.
fn collected(subject: &str, calls: u32) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([subject, &calls.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("valgrind cannot be started; `cargo xtask bench` installs it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{subject}: {}\n{said}", output.status);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")).context("callgrind has not counted")?;
    Ok(collected.1.trim().parse()?)
}

fn repeat(subject: &str, calls: u64) -> Result<()> {
    let node = Node::start([]);
    let texts: Vec<_> = (0..KEYS).map(|number| format!("name-{number}")).collect();
    let text = |key: u64| texts[usize::try_from(key).expect("a small number")].as_str();
    let tenant = |key: u64| u32::try_from(key).expect("a small number");
    let numbers: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
    let names: Bare<String, Arc<u64>> = Bare::new(CAPACITY);
    let pairs: Bare<(u32, String), Arc<u64>> = Bare::new(CAPACITY);
    let users = node.registry.cache::<u64, Arc<u64>>("users")?;

    macro_rules! repeat {
        ($calls:expr, $key:ident => $call:expr) => {
            for call in 0..$calls {
                let $key = black_box(call & (KEYS - 1));
                black_box($call);
            }
        };
    }
    macro_rules! repeat_misses {
        ($calls:expr, $key:ident => $call:expr) => {
            for call in 0..$calls {
                let $key = black_box(KEYS + call);
                black_box($call);
            }
        };
    }
    let work = async {
        repeat!(KEYS, key => node::user(key).await);
        repeat!(KEYS, key => node::name(text(key)).await);
        repeat!(KEYS, key => node::pair(tenant(key), text(key)).await);
        repeat!(KEYS, key => node::bare_user(&numbers, key).await);
        repeat!(KEYS, key => node::bare_name(&names, text(key)).await);
        repeat!(KEYS, key => node::bare_pair(&pairs, tenant(key), text(key)).await);
        match subject {
            "loop" => repeat!(calls, key => key),
            "get" => repeat!(calls, key => numbers.get(&key)),
            "get text" => repeat!(calls, key => names.get(text(key))),
            "get pair" => repeat!(calls, key => pairs.get(&node::Pair(tenant(key), text(key)))),
            "number" => repeat!(calls, key => node::user(key).await),
            "text" => repeat!(calls, key => node::name(text(key)).await),
            "pair" => repeat!(calls, key => node::pair(tenant(key), text(key)).await),
            "bare number" => repeat!(calls, key => node::bare_user(&numbers, key).await),
            "bare text" => repeat!(calls, key => node::bare_name(&names, text(key)).await),
            "bare pair" => repeat!(calls, key => node::bare_pair(&pairs, tenant(key), text(key)).await),
            "miss" => repeat_misses!(calls, key => node::user(key).await),
            "bare miss" => repeat_misses!(calls, key => node::bare_miss(&numbers, key).await),
            "in transaction" => {
                let inside = async {
                    users.evict_many((0..100_u64).map(|other| u64::MAX - other));
                    repeat!(calls, key => node::user(key).await);
                };
                Transaction::begin().scope(inside).await;
            }
            _ => bail!("there is no subject {subject}"),
        }
        Ok(())
    };
    block_on(work)?;
    let misses = if subject == "miss" { calls } else { 0 };
    let caches = node.registry.stats().caches;
    let is_expected =
        |(name, cache): (&String, &CacheStats)| cache.loads == KEYS + if name == "users" { misses } else { 0 };
    ensure!(caches.iter().all(is_expected), "something else was counted than hits or misses: {caches:?}");
    // Emptying the maps is no part of the calls that have filled them.
    mem::forget((node, users, numbers));
    Ok(())
}
