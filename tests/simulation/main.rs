//! The simulation: nodes, a broker that fails and a source of truth in one thread and in virtual time, as a seed says;
//! and a checker that holds their history against the rules.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | what a seed means: how many nodes, how busy, what goes wrong when |
//! | [`run`] | carrying the plan out, and comparing the caches with the source at the end |
//! | [`faults`] | what goes wrong, and how it is made to |
//! | [`world`], [`loads`] | what all share, and the checks of reads; those of loads, waits and ages |
//! | [`source`], [`database`] | rows with versions; transactions of which some end unknown |
//! | [`node`], [`client`], [`writer`], [`service`] | a registry with its clients; what they read and write; annotated functions |
//! | [`broker`], [`queue`], [`backend`] | the transport, within its promise and beyond it |
//! | [`history`] | what happened, and which rule it broke |
//! | [`time`], [`dice`] | virtual time, chance |
//! | `mutations` | rules that are broken on purpose, of which each must be noticed |
//!
//! The rules that are checked:
//!
//! | | |
//! |---|---|
//! | A | no read returns a value older than the newest whose eviction was confirmed a lease before the read began |
//! | B | when the faults are over and a lease has passed, what is cached is what the source says |
//! | C | no read that begins after a commit on the same node returns the old value |
//! | D | what is rolled back, or not committed, is read nowhere but in its own transaction, and there it is |
//! | E | a key is loaded once at a time on a node, by those who share loads (the header of `loads.rs` says who does not) |
//! | M | no more loads of a cache run at once on a node than it allows |
//! | T | no entry is served when its ttl is over |
//! | W | nobody waits for longer than `load_wait` says, or while nobody loads |
//! | live | when the faults are over every node hears the others again |
//!
//! Environment: `CACHESYNC_SIMULATION_SEEDS` (how many), `CACHESYNC_SIMULATION_FROM` (the first),
//! `CACHESYNC_SIMULATION_TRACE` (prints what happened). `cargo xtask simulate` sets them.

mod backend;
mod broker;
mod client;
mod database;
mod dice;
mod faults;
mod history;
mod loads;
#[cfg(cachesync_mutations)]
mod mutations;
mod node;
mod plan;
mod queue;
mod run;
mod service;
mod source;
mod time;
mod world;
mod writer;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use run::run;
use world::Counts;

/// In the ordinary test run.
const SEEDS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, and is {text:?}")))
}

#[test]
fn the_rules_hold_for_every_seed() {
    let seeds = number("CACHESYNC_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let from = number("CACHESYNC_SIMULATION_FROM").unwrap_or(0);
    let [traced, keeps_going] =
        ["TRACE", "KEEP_GOING"].map(|name| env::var_os(format!("CACHESYNC_SIMULATION_{name}")).is_some());
    let (start, next, broken) = (Instant::now(), AtomicU64::new(from), AtomicU64::new(0));
    let counts = Mutex::new(Counts::default());
    let work = || {
        while keeps_going || broken.load(Ordering::Relaxed) == 0 {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from.saturating_add(seeds) {
                break;
            }
            let outcome = run(seed, traced);
            counts.lock().unwrap().add(&outcome.counts);
            if traced {
                println!("{}", outcome.trace);
            }
            if let Some((rule, report)) = outcome.violation {
                println!(
                    "seed {seed} breaks rule {rule}\n{report}\n\nto see all of it: \
                     cargo xtask simulate --seeds 1 --from {seed} --trace\n"
                );
                broken.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        // What is traced is to be read, one seed after the other.
        let threads = if traced { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
        (0..threads).for_each(|_| _ = scope.spawn(work));
    });
    assert_eq!(broken.into_inner(), 0, "seeds that break a rule");
    let counts = counts.into_inner().unwrap();
    println!("{seeds} seeds from {from} in {:?}: {counts:?}", start.elapsed());
    if seeds >= SEEDS {
        counts.demand_enough(seeds);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in (0..100).chain([u64::MAX]) {
        let (one, other) = (run(seed, false), run(seed, false));
        if one.digest != other.digest {
            let (one, other) = (run(seed, true).trace, run(seed, true).trace);
            let differs = one.lines().zip(other.lines()).enumerate().find(|(_, (one, other))| one != other);
            panic!("seed {seed} is not the same run twice: {differs:#?}");
        }
    }
}
