//! 50,000 evictions on one node, applied on 1, 4 and 16 others, beside lapin that publishes 500 messages of 100 keys to
//! as many queues.
//!
//! All nodes are in this process, and so are lapin's consumers; each has a connection of its own. In every round each
//! subject comes once, in an order that chance decides. What is evicted is cached on every node before, if nothing else is said.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use cachesync::{Cache, CacheConfig, Registry, amqp::AmqpBackend};
use cachesync_benches_broker::{
    raw::{Manner, Raw, until},
    redis::{PubSub, Server},
};
use cachesync_benches_report::{
    is_quick,
    numbers::{count, median, millis, ratio},
    row::Row,
};
use cachesync_tests::broker::Broker;

const GROUP: &str = "broadcast of 50,000 evictions";
const KEYS: u64 = 50_000;
const CAPACITY: usize = 200_000;
/// How lapin sends them: so many messages, of so many keys each.
const MESSAGES: usize = 500;
const KEYS_PER_MESSAGE: usize = 100;
/// What a key takes on the way.
const BYTES_PER_KEY: usize = 4;

type Users = Cache<u64, Arc<u64>>;

/// What is measured, in milliseconds for each round.
#[derive(Default)]
struct Times {
    /// `evict_many` of all keys.
    many: Vec<f64>,
    /// `evict` of one key after the other.
    single: Vec<f64>,
    /// `evict_many` of keys that no node has cached.
    absent: Vec<f64>,
    absent_messages: Vec<f64>,
    /// lapin, which waits for each confirm before the next message.
    one_by_one: Vec<f64>,
    /// The same, and each consumer removes the keys from a `quick_cache`.
    removing: Vec<f64>,
    /// lapin, which waits for all confirms at the end.
    at_once: Vec<f64>,
    redis: Vec<f64>,
    /// Messages per round.
    many_messages: Vec<f64>,
    single_messages: Vec<f64>,
}

/// What a consumer of lapin's removes from.
struct Bare {
    entries: quick_cache::sync::Cache<u64, Arc<u64>>,
    /// How many keys it has removed.
    removed: AtomicU64,
}

impl Bare {
    fn new() -> Self {
        Self { entries: quick_cache::sync::Cache::new(CAPACITY), removed: AtomicU64::new(0) }
    }

    /// Removes as many keys as a message has.
    fn remove_some(&self) {
        let first = self.removed.fetch_add(KEYS_PER_MESSAGE as u64, Ordering::Relaxed) % KEYS;
        for key in first..first + KEYS_PER_MESSAGE as u64 {
            self.entries.remove(&key);
        }
    }
}

struct Bench {
    nodes: Vec<(Registry, Users)>,
    raw: Raw,
    removing: Raw,
    bare: Arc<Vec<Bare>>,
    redis: Option<PubSub>,
    body: Vec<u8>,
    times: Times,
}

impl Bench {
    async fn new(url: &str, server: Option<&Server>, others: usize) -> Result<Self> {
        let namespace = format!("bench-{:016x}", fastrand::u64(..));
        let mut nodes = Vec::new();
        for _ in 0..=others {
            let users = CacheConfig::new("users").capacity(CAPACITY);
            let backend = AmqpBackend::new(url)?;
            let node = Registry::builder().namespace(&namespace).cache(users).backend(backend).start().await?;
            let users = node.cache("users")?;
            nodes.push((node, users));
        }
        let raw = Raw::connect(url, others, Manner::Least, |_, _| {}).await?;
        let bare: Arc<Vec<_>> = Arc::new((0..others).map(|_| Bare::new()).collect());
        let consumers = bare.clone();
        let removing = Raw::connect(url, others, Manner::Least, move |index, _| consumers[index].remove_some()).await?;
        let redis = match server {
            Some(server) => Some(PubSub::connect(server, others, |_| {}).await?),
            None => None,
        };
        let body = vec![7; KEYS_PER_MESSAGE * BYTES_PER_KEY];
        Ok(Self { nodes, raw, removing, bare, redis, body, times: Times::default() })
    }

    async fn round(&mut self) -> Result<()> {
        let mut subjects = [0, 1, 2, 3, 4, 5, 6];
        fastrand::shuffle(&mut subjects);
        for subject in subjects {
            match subject {
                0 => {
                    let (time, messages) = self.evict(true, |users| users.evict_many(0..KEYS)).await;
                    self.times.many.push(time);
                    self.times.many_messages.push(messages);
                }
                1 => {
                    let (time, messages) = self.evict(true, |users| (0..KEYS).for_each(|key| users.evict(&key))).await;
                    self.times.single.push(time);
                    self.times.single_messages.push(messages);
                }
                2 => {
                    let (start, before) = (Instant::now(), self.raw.received());
                    self.raw.publish_one_by_one(MESSAGES, &self.body).await?;
                    until(|| self.raw.received() == before + MESSAGES as u64).await;
                    self.times.one_by_one.push(millis(start.elapsed()));
                }
                3 => {
                    let (start, before) = (Instant::now(), self.raw.received());
                    self.raw.publish_at_once(MESSAGES, &self.body).await?;
                    until(|| self.raw.received() == before + MESSAGES as u64).await;
                    self.times.at_once.push(millis(start.elapsed()));
                }
                4 => {
                    for bare in &*self.bare {
                        (0..KEYS).for_each(|key| bare.entries.insert(key, Arc::new(key)));
                    }
                    let (start, before) = (Instant::now(), self.removing.received());
                    self.removing.publish_one_by_one(MESSAGES, &self.body).await?;
                    until(|| self.removing.received() == before + MESSAGES as u64).await;
                    self.times.removing.push(millis(start.elapsed()));
                    assert!(self.bare.iter().all(|bare| bare.entries.is_empty()), "all of them are removed");
                }
                5 => {
                    let (time, messages) = self.evict(false, |users| users.evict_many(0..KEYS)).await;
                    self.times.absent.push(time);
                    self.times.absent_messages.push(messages);
                }
                _ => {
                    let Some(redis) = &self.redis else { continue };
                    let (start, before) = (Instant::now(), redis.received());
                    for _ in 0..MESSAGES {
                        redis.publish(&self.body).await?;
                    }
                    until(|| redis.received() == before + MESSAGES as u64).await;
                    self.times.redis.push(millis(start.elapsed()));
                }
            }
        }
        Ok(())
    }

    /// How long it takes until all have evicted, and how many messages.
    async fn evict(&self, cached: bool, evict: impl FnOnce(&Users) + Send) -> (f64, f64) {
        for (_, users) in self.nodes.iter().filter(|_| cached) {
            // As loads do, and not by `insert`, which is an eviction for the others.
            (0..KEYS).for_each(|key| _ = users.reserve(&key).fill(Arc::new(key)));
        }
        let [(first, users), others @ ..] = &self.nodes[..] else { unreachable!("there is one that evicts") };
        let sent = first.stats().frames_sent;
        let applied = others[0].1.stats().evicted_by_others;
        let start = Instant::now();
        evict(users);
        until(|| others.iter().all(|(_, users)| users.stats().evicted_by_others >= applied + KEYS)).await;
        let time = millis(start.elapsed());
        for (_, users) in others {
            let stats = users.stats();
            assert!(users.is_empty() && stats.cleared == 0, "evicted, and not cleared: {stats:?}");
        }
        first.flush().await.expect("the broker runs");
        let messages = u32::try_from(first.stats().frames_sent - sent).expect("some hundreds");
        (time, f64::from(messages))
    }

    fn report(&self, others: usize) {
        let times = &self.times;
        let rounds = times.many.len();
        let subjects = [
            ("`evict_many`", &times.many, &times.many_messages),
            ("`evict` one by one", &times.single, &times.single_messages),
            ("`evict_many`, of keys that nobody has cached", &times.absent, &times.absent_messages),
        ];
        let mut baselines = vec![
            ("lapin, 500 messages, each confirmed before the next", &times.one_by_one, Some(1.3)),
            (
                "lapin, 500 messages, each confirmed before the next, each key removed from a `quick_cache` of every consumer",
                &times.removing,
                None,
            ),
            ("lapin, 500 messages, confirmed together", &times.at_once, None),
        ];
        if self.redis.is_some() {
            baselines.push((
                "Redis pub/sub over a Unix socket, 500 messages, each answered before the next",
                &times.redis,
                None,
            ));
        }
        let copies = (MESSAGES * others) as u64;
        let seconds = median(&times.at_once) / 1e3;
        Row::new(
            GROUP,
            format!("copies of 400 bytes that RabbitMQ delivers a second, to as many queues as nodes: {others}"),
        )
        .ratio((count(copies) / seconds).round())
        .note(format!("lapin's 500 messages, confirmed together; {rounds} rounds"))
        .print();
        let nodes = if others == 1 { "node" } else { "nodes" };
        for (what, subject, messages) in subjects {
            for (against, baseline, bar) in &baselines {
                let row = Row::new(GROUP, format!("by {what}, applied on {others} other {nodes}"));
                let row = row.against(*against, ratio(subject, baseline)).note(format!(
                    "{:.0} ms to {:.0} ms, in {:.0} messages; {rounds} rounds",
                    median(subject),
                    median(baseline),
                    median(messages)
                ));
                Row { bar: *bar, ..row }.print();
            }
        }
    }

    async fn end(self) -> Result<()> {
        for (node, _) in self.nodes {
            node.shutdown().await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    // On a worker as everything else, and not beside them.
    tokio::spawn(measure()).await?
}

async fn measure() -> Result<()> {
    let rounds = if is_quick() { 3 } else { 15 };
    let (broker, server) = tokio::task::spawn_blocking(|| (Broker::start(), Server::start())).await?;
    let server = server?;
    for others in [1, 4, 16] {
        let mut bench = Bench::new(broker.url(), server.as_ref(), others).await?;
        // The first is slower: memory is had from the system, connections are new.
        bench.round().await?;
        bench.times = Times::default();
        for _ in 0..rounds {
            bench.round().await?;
        }
        bench.report(others);
        bench.end().await?;
    }
    Ok(())
}
