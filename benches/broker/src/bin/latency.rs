//! From one commit to its eviction on another node, beside lapin and Redis pub/sub from publish to receipt.
//!
//! The value that is evicted says when: it is dropped then. The three take turns: at a low rate one by one, each when the one
//! before has arrived; at 1,000 a second for a second each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cachesync::{Cache, CacheConfig, Registry, Transaction, amqp::AmqpBackend};
use cachesync_benches_broker::{
    hops::{Noted, Noting},
    raw::{Manner, Raw, until},
    redis::{PubSub, Server},
};
use cachesync_benches_report::{
    is_quick,
    numbers::{median, millis, quantile, ratio},
    row::Row,
};
use cachesync_tests::broker::Broker;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

/// What has not arrived after this time does not arrive.
const PATIENCE: Duration = Duration::from_secs(10);
const GROUP: &str = "latency from a commit to its eviction on another node";
const A_SECOND: usize = 1_000;
/// How many of each come one by one in a round: so many that there is a p99.
const IN_A_ROUND: usize = 100;

/// When what of which number arrived.
type Arrivals = mpsc::UnboundedReceiver<(u64, Instant)>;

/// What has come since the last look.
fn new(arrivals: &mut Arrivals) -> impl Iterator<Item = (u64, Instant)> {
    std::iter::from_fn(|| arrivals.try_recv().ok())
}

/// Says when it is dropped.
struct Entry {
    number: u64,
    arrived: mpsc::UnboundedSender<(u64, Instant)>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // At the end of the program nobody listens.
        let _ = self.arrived.send((self.number, Instant::now()));
    }
}

type Users = Cache<u64, Arc<Entry>>;

struct Nodes {
    here: (Registry, Users),
    there: (Registry, Users),
    arrived: mpsc::UnboundedSender<(u64, Instant)>,
}

/// One way to reach another node.
enum Way {
    Nodes(Box<Nodes>),
    Lapin(Raw),
    Redis(PubSub),
}

impl Way {
    /// Gets ready what is to be evicted.
    fn prepare(&self, numbers: impl Iterator<Item = u64>) {
        if let Self::Nodes(nodes) = self {
            for number in numbers {
                let entry = Entry { number, arrived: nodes.arrived.clone() };
                // As a load does, and not by `insert`, which is an eviction for the others.
                nodes.there.1.reserve(&number).fill(Arc::new(entry));
            }
        }
    }

    /// Sends this number on its way; does not wait for its confirm.
    async fn send(&self, number: u64) -> Result<()> {
        match self {
            Self::Nodes(nodes) => {
                let transaction = Transaction::begin();
                transaction.scope(async { nodes.here.1.evict(&number) }).await;
                drop(transaction.commit());
            }
            Self::Lapin(raw) => drop(tokio::spawn(raw.publish(&number.to_be_bytes()).await?)),
            Self::Redis(redis) => {
                let redis = redis.clone();
                tokio::spawn(async move { redis.publish(&number.to_be_bytes()).await });
            }
        }
        Ok(())
    }
}

/// The parts of the way from one node to another, in milliseconds.
#[derive(Default)]
struct Hops {
    /// When the backend of the one was handed the eviction, and when that of the other handed it over.
    published: Noted,
    delivered: Noted,
    before: Vec<f64>,
    between: Vec<f64>,
    after: Vec<f64>,
}

impl Hops {
    /// What goes over the way besides, such as at each heartbeat, is none of the next eviction's.
    fn forget(&self) {
        self.published.take();
        self.delivered.take();
    }

    fn push(&mut self, start: Instant, arrival: Instant) {
        if let (Some(published), Some(delivered)) = (self.published.take(), self.delivered.take()) {
            self.before.push(millis(published.duration_since(start)));
            self.between.push(millis(delivered.duration_since(published)));
            self.after.push(millis(arrival.duration_since(delivered)));
        }
    }
}

/// A way, and the times that it took, in milliseconds.
struct Subject {
    way: Way,
    hops: Hops,
    arrivals: Arrivals,
    next: u64,
    /// One by one.
    low: Quantiles,
    /// At 1,000 a second.
    high: Quantiles,
}

/// The quantiles of each round.
#[derive(Default)]
struct Quantiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Quantiles {
    fn push(&mut self, times: &[f64]) {
        self.p50.push(median(times));
        self.p99.push(quantile(times, 0.99));
    }
}

impl Subject {
    fn new(way: Way, arrivals: Arrivals) -> Self {
        Self { way, hops: Hops::default(), arrivals, next: 0, low: Quantiles::default(), high: Quantiles::default() }
    }

    /// One, at rest.
    async fn one(&mut self) -> Result<f64> {
        let number = self.next;
        self.next += 1;
        self.way.prepare(std::iter::once(number));
        self.hops.forget();
        let start = Instant::now();
        self.way.send(number).await?;
        // A thread that waits would be one of two that the runtime has.
        let mut arrival = None;
        let arrived = until(|| {
            arrival = arrival.or_else(|| new(&mut self.arrivals).find(|(arrived, _)| *arrived == number));
            arrival.is_some()
        });
        timeout(PATIENCE, arrived).await.context("it does not arrive")?;
        let (_, arrival) = arrival.context("it has arrived")?;
        self.hops.push(start, arrival);
        Ok(millis(arrival.duration_since(start)))
    }

    /// So many, at 1,000 a second.
    async fn many(&mut self) -> Result<Vec<f64>> {
        let first = self.next;
        self.next += A_SECOND as u64;
        self.way.prepare(first..self.next);
        let mut pace = interval(Duration::from_secs(1) / u32::try_from(A_SECOND)?);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut starts = Vec::with_capacity(A_SECOND);
        for number in first..self.next {
            pace.tick().await;
            starts.push(Instant::now());
            self.way.send(number).await?;
        }
        let mut times = Vec::with_capacity(A_SECOND);
        let arrived = until(|| {
            let new = new(&mut self.arrivals).filter(|(number, _)| *number >= first);
            times.extend(new.map(|(number, arrival)| {
                let start = starts[usize::try_from(number - first).expect("below a thousand")];
                millis(arrival.duration_since(start))
            }));
            times.len() == A_SECOND
        });
        timeout(PATIENCE, arrived).await.context("they do not all arrive")?;
        Ok(times)
    }
}

async fn nodes(url: &str) -> Result<Subject> {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let namespace = format!("bench-{:016x}", fastrand::u64(..));
    let hops = Hops::default();
    let node = async |published: &Noted, delivered: &Noted| -> Result<(Registry, Users)> {
        let users = CacheConfig::new("users").capacity(100_000);
        let (published, delivered) = (published.clone(), delivered.clone());
        let backend = Noting { backend: AmqpBackend::new(url)?, published, delivered };
        let node = Registry::builder().namespace(&namespace).cache(users).backend(backend).start().await?;
        let users = node.cache("users")?;
        Ok((node, users))
    };
    let here = node(&hops.published, &Noted::default()).await?;
    let there = node(&Noted::default(), &hops.delivered).await?;
    let nodes = Nodes { here, there, arrived };
    Ok(Subject { hops, ..Subject::new(Way::Nodes(Box::new(nodes)), arrivals) })
}

/// What a consumer does with what it receives.
fn hear(arrived: mpsc::UnboundedSender<(u64, Instant)>) -> impl Fn(&[u8]) + Clone + Send + 'static {
    move |body| {
        let number = u64::from_be_bytes(body.try_into().expect("a number"));
        let _ = arrived.send((number, Instant::now()));
    }
}

/// With so many queues; the last one's consumer counts.
async fn lapin(url: &str, queues: usize, manner: Manner) -> Result<Subject> {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let hear = hear(arrived);
    let hear = move |queue, body: &[u8]| {
        if queue + 1 == queues {
            hear(body);
        }
    };
    Ok(Subject::new(Way::Lapin(Raw::connect(url, queues, manner, hear).await?), arrivals))
}

async fn redis(server: &Server) -> Result<Subject> {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    Ok(Subject::new(Way::Redis(PubSub::connect(server, 1, hear(arrived)).await?), arrivals))
}

fn report(what: &str, against: &str, subject: &Quantiles, baseline: &Quantiles, bar: Option<f64>, note: &str) {
    let quantiles = [("p50", &subject.p50, &baseline.p50, bar), ("p99", &subject.p99, &baseline.p99, None)];
    for (name, subject, baseline, bar) in quantiles {
        let row = Row::new(GROUP, format!("{what}, {name}")).against(against, ratio(subject, baseline)).note(format!(
            "{:.2} ms to {:.2} ms; {note}",
            median(subject),
            median(baseline)
        ));
        Row { bar, ..row }.print();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    // On a worker, as the functions of a service.
    tokio::spawn(measure()).await?
}

async fn measure() -> Result<()> {
    let (rounds, seconds) = if is_quick() { (3, 3) } else { (25, 15) };
    let (broker, server) = tokio::task::spawn_blocking(|| (Broker::start(), Server::start())).await?;
    let server = server?;
    let url = broker.url();
    let mut subjects = vec![
        nodes(url).await?,
        lapin(url, 1, Manner::Least).await?,
        lapin(url, 2, Manner::Least).await?,
        lapin(url, 2, Manner::AsNodes).await?,
    ];
    if let Some(server) = &server {
        subjects.push(redis(server).await?);
    }
    // The first of each are slower.
    for subject in &mut subjects {
        for _ in 0..50 {
            subject.one().await?;
        }
        subject.many().await?;
    }
    let mut order: Vec<_> = (0..subjects.len()).collect();
    for _ in 0..rounds {
        let mut times = vec![Vec::with_capacity(IN_A_ROUND); subjects.len()];
        for _ in 0..IN_A_ROUND {
            fastrand::shuffle(&mut order);
            for &index in &order {
                times[index].push(subjects[index].one().await?);
            }
        }
        for (subject, times) in subjects.iter_mut().zip(&times) {
            subject.low.push(times);
        }
    }
    for _ in 0..seconds {
        fastrand::shuffle(&mut order);
        for &index in &order {
            let times = subjects[index].many().await?;
            subjects[index].high.push(&times);
        }
    }
    let [subject, baselines @ ..] = &subjects[..] else { unreachable!("there are four at least") };
    let names = [
        ("lapin, publish to receipt", Some(1.3)),
        ("lapin, publish to receipt, with a second queue as every node hears itself", None),
        (
            "lapin, publish to receipt, with a second queue, a topic exchange and acknowledgements, as nodes need them",
            None,
        ),
        ("Redis pub/sub over a Unix socket, publish to receipt", None),
    ];
    for (baseline, (against, bar)) in baselines.iter().zip(names) {
        let note = format!("medians of {rounds} rounds of {IN_A_ROUND}");
        report("one at a time", against, &subject.low, &baseline.low, bar, &note);
        let note = format!("medians of {seconds} rounds of {A_SECOND}");
        report("1,000 commits/s", against, &subject.high, &baseline.high, bar, &note);
    }
    let whole = median(&subject.low.p50);
    for (part, times) in [
        ("until the backend is handed it", &subject.hops.before),
        ("with lapin and RabbitMQ", &subject.hops.between),
        ("until what the other backend hands over is applied", &subject.hops.after),
    ] {
        let time = median(times);
        let row = Row::new(GROUP, format!("one at a time, of which {part}")).against("the whole", time / whole);
        row.note(format!("{time:.3} ms of {whole:.3} ms; medians")).print();
    }
    Ok(())
}
