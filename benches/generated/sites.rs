//! Answers lines of standard input: what to do, and how often. The answer is nanoseconds, or bytes.
//!
//! Written by `cargo xtask bench sites`, with `functions.rs` beside it, which gathers the tables of the crates that have the
//! functions.

mod functions;

use std::{
    hint::black_box,
    io::stdin,
    mem::size_of,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use cachesync::{CacheConfig, Registry, __private, memory::MemoryBackend};
use cachesync_benches::{
    node::Node,
    rounds::{Clock, Keys, block_on, timed},
};
use functions::{CACHES, Function};

/// As many entries in all, however many functions there are.
const ENTRIES: u64 = 1_000;

fn main() {
    let names = || (0..CACHES).map(|number| format!("cache-{number}"));
    let node = Node::start(names());
    // Functions of one cache share its entries, so that what they have of their own is all that grows with their number.
    let (annotated, by_hand) = (functions::annotated(), functions::by_hand());
    let used = CACHES.min(annotated.len());
    let keys = ENTRIES / used as u64;
    for functions in [&annotated, &by_hand] {
        let fill = |functions: &[Function]| functions.iter().for_each(|call| (0..keys).for_each(|key| _ = call(key)));
        fill(&functions[..used]);
    }
    let remembered = measure(|| annotated[used..].iter().for_each(|call| _ = call(0))).bytes_current;
    for call in &by_hand[used..] {
        call(0);
    }
    for line in stdin().lines() {
        let line = line.expect("it can be read");
        let (what, calls) = line.split_once(' ').expect("two words");
        let calls: u64 = calls.parse().expect("a number");
        let answer = match what {
            "one" => nanoseconds(block_on(timed(Clock::Thread, calls, Keys::below(keys), functions::annotated_0))),
            "spread" => nanoseconds(spread(&annotated, calls, keys)),
            "spread-by-hand" => nanoseconds(spread(&by_hand, calls, keys)),
            "start" => (0..calls).map(|_| nanoseconds(start(names()))).sum(),
            "hits" => node.registry.stats().caches.values().map(|cache| cache.hits).sum(),
            "loads" => node.registry.stats().caches.values().map(|cache| cache.loads).sum(),
            // The slice's element is a slice.
            "static" => {
                (size_of::<__private::CallSite>() + size_of::<&[u8]>()) as u64
            }
            "remembered" => remembered as u64,
            _ => panic!("what is {what}?"),
        };
        println!("{answer}");
    }
}

/// Calls functions at random, with keys at random.
fn spread(functions: &[Function], calls: u64, keys: u64) -> Duration {
    let (mut sites, mut keys) = (Keys::below(functions.len() as u64), Keys::below(keys));
    let work = async {
        for _ in 0..calls {
            black_box(functions[sites.draw() as usize](black_box(keys.draw())));
        }
    };
    block_on(Clock::Thread.time(work))
}

/// Starts a registry that has all the caches, so that nothing is wrong with any function.
fn start(names: impl Iterator<Item = String>) -> Duration {
    let builder = Registry::builder().namespace("start").backend(MemoryBackend::new());
    let names = names.chain(["users", "names", "pairs"].map(str::to_owned));
    let builder = names.fold(builder, |builder, name| builder.cache(CacheConfig::new(name)));
    // On one thread: what it costs to wake another one is not the question.
    block_on(async {
        let started = Instant::now();
        let registry = builder.start().await.expect("a registry");
        let took = started.elapsed();
        registry.shutdown().await.expect("nothing is left to tell");
        took
    })
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
