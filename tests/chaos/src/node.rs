//! A node: the process that the driver starts, stops and kills.
//!
//! It is told what to do on its standard input, a word a line, answers each with a line, and ends when that input does.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use cachesync::{
    CacheConfig, Coherence, Registry, RegistryStats,
    amqp::{AmqpBackend, Stream},
};
use clap::{Args, ValueEnum};
use fastrand::Rng;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::watch,
    time::sleep,
};

use crate::{
    CONFIRM, HEARTBEAT, LEASE, NODES, ROWS, SETTLE,
    database::Database,
    event::{Event, Hears},
    journal::Journal,
    load::Load,
    service::{Call, Row, Service, View, is_item},
    writer,
};

/// How often the status is written down, and the journal handed to the system.
const SAMPLE: Duration = Duration::from_millis(50);

/// How evictions travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// To a queue of each node's session.
    Queues,
    /// By a stream that all nodes read, on which sessions resume.
    Streams,
}

impl Transport {
    /// As it is given to a process.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queues => "queues",
            Self::Streams => "streams",
        }
    }
}

/// What a node is started with.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Its number, which its successor has, too.
    #[arg(long)]
    pub node: usize,
    /// Which process of the run it is.
    #[arg(long)]
    pub incarnation: usize,
    /// The broker, by way of its link.
    #[arg(long)]
    pub amqp: String,
    /// The database's file.
    #[arg(long)]
    pub table: PathBuf,
    /// What it writes down.
    #[arg(long)]
    pub journal: PathBuf,
    /// What its load is drawn from.
    #[arg(long)]
    pub seed: u64,
    /// How evictions travel.
    #[arg(long, value_enum, default_value = "queues")]
    pub transport: Transport,
    /// A rule that it breaks.
    #[arg(long)]
    pub mutation: Option<String>,
}

/// Runs a node until its input ends.
pub fn run(options: &Options) -> Result<()> {
    // Nothing outlives the driver, not even a process that is stopped.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mutation = options.mutation.as_deref().map(break_rule).transpose()?;
    let on_thread = move || {
        if let Some(mutation) = mutation {
            mutation();
        }
    };
    on_thread();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Few threads for the database, which stay: each has a stack and a heap of its own, and memory is looked at in an outage.
    runtime.max_blocking_threads(16).thread_keep_alive(Duration::from_hours(1));
    let runtime = runtime.worker_threads(2).enable_all().on_thread_start(on_thread).build()?;
    runtime.block_on(serve(options))
}

/// What breaks a rule, on each thread.
#[cfg(cachesync_mutations)]
fn break_rule(name: &str) -> Result<fn()> {
    macro_rules! known {
        ($($mutation:ident)*) => {
            match name {
                $(stringify!($mutation) => || {
                    cachesync::__private::Mutation::set(Some(cachesync::__private::Mutation::$mutation));
                },)*
                _ => bail!("no rule is broken by `{name}`; use one of {}", [$(stringify!($mutation)),*].join(", ")),
            }
        };
    }
    Ok(known! {
        KeepOvertakenLoads DoNotOvertakeByPuts DoNotDetachTaggedLoads KeepLoadsOlderThanTheirTag KeepOvertakenPuts
        ForgetTags ApplyBeforeTheDatabase DiscardUnknownOutcomes IgnoreHolds DoNotRepeatAfterTheHold ApplyOnRollback
        DropInnerTransactions DropLateEvictions ReadWhatIsPending FillInsideTransactions TellNobody IgnoreGaps
        IgnoreOwnGaps SendNoTrailers RefuseTheNext ServePastTheLease IgnoreSleep KeepServingStale RenewOnAnyFrame
        RenewUnheard RenewFromReceipt DropOnOverflow DoNotResend ConfirmBeforeItIsTaken DoNotClearOnReconnect
        RenewOnResume KeepPositionOfUnapplied JoinLoadsThatRun JoinAtAnyAge NeverShareLoads WaitWithoutBound
        AbandonInSilence AdmitEverybody ServeExpired
    })
}

#[cfg(not(cachesync_mutations))]
fn break_rule(name: &str) -> Result<fn()> {
    bail!("to break `{name}`, use `cargo xtask chaos --mutation {name}`: it takes a library that is built for that")
}

async fn start(options: &Options) -> Result<Registry> {
    let backend = AmqpBackend::new(&options.amqp)?
        .heartbeat(Duration::from_secs(1))
        .connect_timeout(LEASE)
        .publish_timeout(CONFIRM)
        .close_timeout(Duration::from_millis(300));
    let backend = match options.transport {
        Transport::Queues => backend,
        Transport::Streams => backend.stream(Stream::new()),
    };
    let registry = Registry::builder()
        .namespace("chaos")
        .node_name(format!("node-{}", options.node))
        .heartbeat(HEARTBEAT)
        .lease(LEASE)
        .settle(SETTLE)
        .cache(CacheConfig::new("items"))
        .cache(CacheConfig::new("prices"))
        .backend(backend)
        .start_lazy()
        .await?;
    registry.install()?;
    Ok(registry)
}

async fn serve(options: &Options) -> Result<()> {
    let journal = Arc::new(Journal::create(&options.journal)?);
    let database = Database::open(&options.table, journal.clone())?;
    let registry = start(options).await?;
    let service = Service { database, journal, incarnation: options.incarnation, begun: AtomicU64::new(0) };
    let load = Load { service: Arc::new(service), registry };
    let mut background = vec![tokio::spawn(flush(load.clone())), tokio::spawn(sample(load.clone()))];
    let (ends, ended) = watch::channel(false);
    let mut tasks = load.start(&mut Rng::with_seed(options.seed), &ended);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match line.as_str() {
            "quiet" => {
                ends.send_replace(true);
                for task in tasks.drain(..) {
                    task.await?;
                }
                "quiet".to_owned()
            }
            "hears" => hears(&load.registry),
            "warm" => {
                for row in 0..ROWS {
                    load.read(&Call::new(&load.service, View::Now), row, 0).await;
                }
                "warm".to_owned()
            }
            "write" => match writer::write_share(&load, options.node as u64, NODES as u64).await {
                Ok(()) => "written".to_owned(),
                Err(error) => format!("not written: {error:?}"),
            },
            "list" => list(&load)?,
            "end" => {
                background.drain(..).for_each(|task| task.abort());
                count(&load);
                load.registry.shutdown().await.map_err(|error| anyhow!(error))?;
                "ended".to_owned()
            }
            _ => bail!("`{line}` means nothing here"),
        };
        load.service.journal.flush();
        println!("{answer}");
    }
    Ok(())
}

/// Whether it hears the others and has nothing left to tell, or else what it says of itself.
fn hears(registry: &Registry) -> String {
    let status = registry.status();
    if matches!(status.coherence, Coherence::Coherent { .. }) && status.outbox.is_empty() {
        "hears".to_owned()
    } else {
        format!("{status:?}").replace('\n', " ")
    }
}

/// Writes down what is cached, if it may be served.
fn list(load: &Load) -> Result<String> {
    let mut entries = 0;
    for row in 0..ROWS {
        let name = if is_item(row) { "items" } else { "prices" };
        let cache = load.registry.cache::<u64, Row>(name).map_err(|error| anyhow!(error))?;
        if let Some(Row { id, version }) = cache.get(&row) {
            load.service.journal.note(&Event::Entry { row: id, version });
            entries += 1;
        }
    }
    Ok(format!("listed {entries}"))
}

fn count(load: &Load) {
    let stats = load.registry.stats();
    let cleared = stats.caches.values().map(|cache| cache.cleared).sum();
    load.service.journal.note(&Event::Counted { gaps: stats.gaps, cleared });
}

/// Writes down how far the broker has taken what was evicted. One wait at a time, whatever is written meanwhile.
async fn flush(load: Load) {
    let (journal, mut last) = (&load.service.journal, 0);
    loop {
        // Before the flush: what comes later is not waited for.
        let transactions = journal.told();
        // An error says that the broker is away, and the next try waits again.
        if transactions > last && load.registry.flush().await.is_ok() {
            journal.note(&Event::Flushed { transactions });
            last = transactions;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Writes down how the node is doing.
async fn sample(load: Load) {
    loop {
        let status = load.registry.status();
        let hears = match status.coherence {
            Coherence::Coherent { .. } => Hears::Coherent,
            Coherence::Suspect { .. } => Hears::Suspect,
            _ => Hears::Partitioned,
        };
        let outbox = status.outbox.len() as u64;
        let memory = memory().unwrap_or_default();
        let RegistryStats { sessions, resumed, .. } = load.registry.stats();
        load.service.journal.note_now(&Event::Status { hears, outbox, memory, sessions, resumed });
        sleep(SAMPLE).await;
    }
}

/// The resident memory of this process in bytes, where there is a `/proc` to tell.
fn memory() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).context("no second field")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}
