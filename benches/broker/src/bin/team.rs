//! The load that this was made for: 30 caches, 90,000 reads a second of each on two processors, while 200 evictions a second
//! come from another node.
//!
//! The reads are calls of annotated functions, paced: two tasks read what is due every millisecond. An evicted key is loaded
//! by its next read. The other node is a process of its own, so what is counted is this node alone.

use std::{
    env,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cachesync::{CacheConfig, Registry, RegistryBuilder, amqp::AmqpBackend};
use cachesync_benches_report::{
    is_quick,
    numbers::{count, nanoseconds, quantile},
    row::Row,
};
use cachesync_tests::broker::Broker;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval};

const CACHES: usize = 30;
const KEYS: u64 = 1_000;
const READS_PER_CACHE: u64 = 90_000;
const EVICTIONS: u32 = 200;
const READERS: u64 = 2;
/// What a reader reads of each cache every millisecond.
const READS_AT_ONCE: u64 = READS_PER_CACHE / 1_000 / READERS;
/// Of which one is timed.
const SAMPLED: u64 = 15;
/// By which this program is told to be the other node.
const EVICTOR: &str = "--evictor";

/// A function of each cache, and their names.
macro_rules! caches {
    ($($function:ident $name:literal),*) => {
        $(
            #[cachesync::cacheable(cache = $name, key = id)]
            async fn $function(id: u64) -> Arc<u64> {
                Arc::new(id)
            }
        )*

        const NAMES: [&str; CACHES] = [$($name),*];

        /// Reads `READS_AT_ONCE` keys of each cache; keeps the times of some.
        async fn read(random: &mut fastrand::Rng, times: &mut Vec<f64>) {
            $(
                for number in 0..READS_AT_ONCE {
                    let key = random.u64(..KEYS);
                    if number % SAMPLED == 0 {
                        let start = Instant::now();
                        std::hint::black_box($function(key).await);
                        times.push(nanoseconds(start.elapsed()));
                    } else {
                        std::hint::black_box($function(key).await);
                    }
                }
            )*
        }
    };
}

caches!(
    read_0 "c0", read_1 "c1", read_2 "c2", read_3 "c3", read_4 "c4", read_5 "c5", read_6 "c6", read_7 "c7", read_8 "c8",
    read_9 "c9", read_10 "c10", read_11 "c11", read_12 "c12", read_13 "c13", read_14 "c14", read_15 "c15", read_16 "c16",
    read_17 "c17", read_18 "c18", read_19 "c19", read_20 "c20", read_21 "c21", read_22 "c22", read_23 "c23",
    read_24 "c24", read_25 "c25", read_26 "c26", read_27 "c27", read_28 "c28", read_29 "c29"
);

fn node(url: &str, namespace: &str) -> Result<RegistryBuilder> {
    let config = |name| CacheConfig::new(name).capacity(10 * 1_000).ttl(Duration::from_mins(10));
    let node = Registry::builder().namespace(namespace).backend(AmqpBackend::new(url)?);
    Ok(NAMES.into_iter().map(config).fold(node, RegistryBuilder::cache))
}

/// The other node: evicts until its stdin ends.
async fn evict(url: &str, namespace: &str) -> Result<()> {
    let node = node(url, namespace)?.start().await?;
    let caches = NAMES.into_iter().map(|name| node.cache::<u64, Arc<u64>>(name)).collect::<Result<Vec<_>, _>>()?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        over.store(true, Ordering::Relaxed);
    });
    let mut pace = interval(Duration::from_secs(1) / EVICTIONS);
    while !is_over.load(Ordering::Relaxed) {
        pace.tick().await;
        caches[fastrand::usize(..CACHES)].evict(&fastrand::u64(..KEYS));
    }
    Ok(node.shutdown().await?)
}

/// Ends with the pipe to its stdin.
struct Evictor(Child);

impl Evictor {
    fn start(url: &str, namespace: &str) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        Ok(Self(command.args([EVICTOR, url, namespace]).stdin(Stdio::piped()).spawn()?))
    }
}

impl Drop for Evictor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Reads for so long; returns how many reads there were and the times of some, in nanoseconds.
async fn reader(duration: Duration) -> (u64, Vec<f64>) {
    let mut random = fastrand::Rng::new();
    let (mut reads, mut times) = (0, Vec::new());
    let mut pace = interval(Duration::from_millis(1));
    // Late is late: what was not read in time is read afterwards, so that the rate holds.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let start = Instant::now();
    while start.elapsed() < duration {
        pace.tick().await;
        read(&mut random, &mut times).await;
        reads += READS_AT_ONCE * CACHES as u64;
    }
    (reads, times)
}

/// How long this process has been running on any processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().expect("not negative"), time.tv_nsec.try_into().expect("not negative"))
}

async fn measure(url: &str, duration: Duration) -> Result<()> {
    let namespace = format!("bench-{:016x}", fastrand::u64(..));
    let registry = node(url, &namespace)?.start().await?;
    registry.install()?;
    let _evictor = Evictor::start(url, &namespace)?;
    let applied = || registry.stats().caches.values().map(|cache| cache.evicted_by_others).sum::<u64>();
    let begin = Instant::now();
    while applied() == 0 {
        ensure!(begin.elapsed() < Duration::from_secs(20), "the other node evicts nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Every key is loaded in the first second.
    reader(Duration::from_secs(1)).await;

    let (start, used, evicted) = (Instant::now(), processor_time(), applied());
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(reader(duration))).collect();
    let (mut reads, mut times) = (0, Vec::new());
    for reader in readers {
        let (its_reads, its_times) = reader.await.context("a reader has panicked")?;
        reads += its_reads;
        times.extend(its_times);
    }
    let seconds = start.elapsed().as_secs_f64();
    let share = processor_time().saturating_sub(used).as_secs_f64() / seconds / 2.0;
    let (rate, evictions) = (count(reads) / seconds, count(applied() - evicted) / seconds);
    let stats = registry.stats();
    let loads: u64 = stats.caches.values().map(|cache| cache.loads).sum();
    ensure!(stats.gaps == 0 && stats.caches.values().all(|cache| cache.cleared == 0), "it was cleared: {stats:?}");

    let row = |what: &str, ratio: f64, bar: Option<f64>, note: String| {
        let what = format!("30 caches, 90,000 reads/s of each, 200 remote evictions/s: {what}");
        Row { bar, ..Row::new("the load of the team", what).ratio(ratio).note(note) }.print();
    };
    let due = count(READS_PER_CACHE * CACHES as u64);
    let note =
        format!("{:.2} million reads/s, {evictions:.0} remote evictions/s, {loads} loads, {seconds:.0} s", rate / 1e6);
    row("reads that were due, as a multiple of those that were made", due / rate, Some(1.01), note);
    row("share of two cores", share, None, format!("{:.0} % of both, by the process's clock", share * 100.0));
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| quantile(&times, share));
    let note = format!(
        "p50 {p50:.0} ns, p99 {p99:.0} ns; {} of the reads were timed, loads among them, each with a reading of the clock",
        times.len()
    );
    row("p99.9 of a read, in nanoseconds", p999, None, note);
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [argument, url, namespace] = &arguments[..]
        && argument == EVICTOR
    {
        return evict(url, namespace).await;
    }
    let seconds = if is_quick() { 3 } else { 20 };
    let broker = tokio::task::spawn_blocking(Broker::start).await?;
    measure(broker.url(), Duration::from_secs(seconds)).await
}
