//! Carrying the plan out: the broker, the links, the nodes, two rows of faults, and the audit at the end.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use cachesync_tests::{broker::Broker, proxy::Proxy};
use clap::Args;
use tokio::{
    sync::{MappedMutexGuard, Mutex, MutexGuard},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    LEASE, NODES, SETTLE, checker, database,
    event::Event,
    faults::{Fault, aim, strike},
    journal::Journal,
    node::{self, Transport},
    outage,
    plan::{Place, Plan},
    process::Process,
    report::Report,
};

/// Within this time after the last fault every node hears the others again, however busy the machine is.
const RECOVERY: Duration = Duration::from_mins(2);
/// By how much a run may be longer than it was told to be, so that each kind of fault comes once.
const OVERTIME: Duration = Duration::from_mins(4);

/// What a run is told.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// For how long faults happen; each kind comes at least once.
    #[arg(long, default_value_t = 1.0)]
    pub minutes: f64,
    /// Decides the plan and the load.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How evictions travel.
    #[arg(long, value_enum, default_value = "queues")]
    pub transport: Transport,
    /// In place of the plan: the broker stays away for so many minutes, while memory and queues are watched.
    #[arg(long, value_name = "MINUTES")]
    pub outage: Option<f64>,
    /// Breaks a rule in all nodes: the run has to notice.
    #[arg(long, value_name = "NAME")]
    pub mutation: Option<String>,
    /// Keeps the journals, also of a run in which all rules held.
    #[arg(long)]
    pub keep: bool,
}

impl Options {
    /// The command that does the same again.
    pub fn command(&self) -> String {
        let (seed, transport) = (self.seed, self.transport.name());
        let length = match self.outage {
            Some(minutes) => format!("--outage {minutes}"),
            None => format!("--minutes {}", self.minutes),
        };
        let mutation = self.mutation.as_ref().map_or_else(String::new, |name| format!(" --mutation {name}"));
        format!("cargo xtask chaos {length} --seed {seed} --transport {transport}{mutation}")
    }
}

/// Whose journal it is.
#[derive(Clone, Debug)]
pub struct Author {
    /// The node, and which process of the run; `None` for the driver.
    pub process: Option<(usize, usize)>,
    /// Where it is.
    pub journal: PathBuf,
}

/// All that a run has started.
pub struct World {
    /// What it was told.
    pub options: Options,
    program: PathBuf,
    folder: PathBuf,
    /// The broker.
    pub broker: Arc<Broker>,
    /// The link of each node to it.
    pub links: Vec<Proxy>,
    /// `None` while a node that was killed has no successor yet.
    nodes: [Mutex<Option<Process>>; NODES],
    journal: Journal,
    /// Who has it is not disturbed by faults of the broker.
    calm: Mutex<()>,
    authors: Mutex<Vec<Author>>,
    incarnations: AtomicUsize,
}

/// Runs the plan with nodes of this very program.
pub fn run(options: &Options) -> Result<Report> {
    run_with(options, &env::current_exe()?)
}

/// Runs the plan.
pub fn run_with(options: &Options, program: &Path) -> Result<Report> {
    let folder = tempfile::Builder::new().prefix("cachesync-chaos-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = || {
        let outcome = runtime.block_on(async { World::new(options, program, folder.path()).await?.drive().await })?;
        let mut report = checker::check(&outcome.authors, database::commits(&table(folder.path()))?)?;
        report.command = options.command();
        if let Some(problem) = outcome.problem {
            report.violated("live", problem);
        }
        if options.outage.is_some() {
            report.outage = Some(outage::judge(&outcome.authors, outcome.depths)?);
        }
        Ok(report)
    };
    match report() {
        Ok(report) if report.passed() && !options.keep => Ok(report),
        Ok(report) => Ok(Report { kept: Some(folder.keep()), ..report }),
        Err(error) => {
            let kept = folder.keep();
            let (kept, command) = (kept.display(), options.command());
            let what = format!("it cannot be judged; the journals are in {kept}, and `{command}` does the same again");
            Err(anyhow::Error::context(error, what))
        }
    }
}

fn table(folder: &Path) -> PathBuf {
    folder.join("table")
}

struct Outcome {
    authors: Vec<Author>,
    /// What did not recover.
    problem: Option<String>,
    /// How many messages were in the queues, every second after an outage.
    depths: Vec<u64>,
}

impl World {
    async fn new(options: &Options, program: &Path, folder: &Path) -> Result<Self> {
        let broker = Arc::new(spawn_blocking(Broker::start).await?);
        database::create(&table(folder))?;
        let mut links = Vec::new();
        for _ in 0..NODES {
            links.push(Proxy::before(broker.url()).await);
        }
        let journal = folder.join("driver");
        Ok(Self {
            options: options.clone(),
            program: program.to_owned(),
            folder: folder.to_owned(),
            broker,
            links,
            nodes: std::array::from_fn(|_| Mutex::new(None)),
            authors: Mutex::new(vec![Author { process: None, journal: journal.clone() }]),
            journal: Journal::create(&journal)?,
            calm: Mutex::new(()),
            incarnations: AtomicUsize::new(0),
        })
    }

    async fn drive(&self) -> Result<Outcome> {
        for node in 0..NODES {
            self.start(node).await?;
        }
        let mut depths = Vec::new();
        let mut problem = self.recover().await?;
        if problem.is_none() {
            if let Some(minutes) = self.options.outage {
                depths = outage::carry_out(self, Duration::from_secs_f64(minutes * 60.0)).await?;
            } else {
                tokio::try_join!(self.carry_out(Place::Broker), self.carry_out(Place::Node))?;
            }
            problem = self.audit().await?;
        }
        self.journal.flush();
        Ok(Outcome { authors: self.authors.lock().await.clone(), problem, depths })
    }

    /// Lets one fault of a place happen after the other.
    async fn carry_out(&self, place: Place) -> Result<()> {
        let (mut plan, began) = (Plan::new(place, self.options.seed), Instant::now());
        let length = Duration::from_secs_f64(self.options.minutes * 60.0);
        loop {
            let (pause, fault) = plan.deal();
            let is_over = |plan: &Plan| began.elapsed() + pause >= length && plan.has_dealt_all();
            sleep(pause).await;
            let _calm = match place {
                Place::Broker => Some(self.calm.lock().await),
                Place::Node if plan.is_alone(fault) => {
                    let calm = self.calm.lock().await;
                    // Who does not recover is found by the audit.
                    self.recover().await?;
                    // The caches have to fill.
                    sleep(LEASE / 2).await;
                    Some(calm)
                }
                Place::Node => None,
            };
            self.happens(fault).await.with_context(|| format!("{fault:?}"))?;
            if is_over(&plan) || began.elapsed() > length + OVERTIME {
                return Ok(());
            }
        }
    }

    /// Lets a fault happen, and writes down when.
    pub async fn happens(&self, fault: Fault) -> Result<()> {
        aim(self, fault).await?;
        let (kind, node) = (fault.kind().to_owned(), fault.node());
        self.journal.note_now(&Event::Fault { kind: kind.clone(), node });
        strike(self, fault).await?;
        self.journal.note_now(&Event::Healed { kind, node });
        Ok(())
    }

    /// Writes down that the broker can be used again.
    pub fn returned(&self) {
        self.journal.note_now(&Event::Returned);
    }

    /// Does something to the broker that takes its time.
    pub async fn at_broker(&self, act: fn(&Broker)) -> Result<()> {
        let broker = self.broker.clone();
        spawn_blocking(move || act(&broker)).await.context("the broker does not do as it is told")
    }

    /// A node that runs.
    pub async fn node(&self, node: usize) -> MappedMutexGuard<'_, Process> {
        MutexGuard::map(self.nodes[node].lock().await, |process| process.as_mut().expect("it runs"))
    }

    /// Kills a node, and starts its successor after so long.
    pub async fn replace(&self, node: usize, away: Duration) -> Result<()> {
        let process = self.nodes[node].lock().await.take().context("it runs")?;
        let incarnation = process.options.incarnation;
        process.kill().await?;
        self.journal.note_now(&Event::Died { incarnation });
        sleep(away).await;
        self.start(node).await
    }

    async fn start(&self, node: usize) -> Result<()> {
        let incarnation = self.incarnations.fetch_add(1, Ordering::Relaxed) + 1;
        let journal = self.folder.join(format!("node-{node}-{incarnation}"));
        let options = node::Options {
            node,
            incarnation,
            amqp: self.links[node].url().to_owned(),
            table: table(&self.folder),
            journal,
            seed: self.options.seed ^ ((incarnation as u64) << 32),
            transport: self.options.transport,
            mutation: self.options.mutation.clone(),
        };
        self.journal.note_now(&Event::Born { node, incarnation });
        let mut process = Process::start(&self.program, options)?;
        // Who answers has made its journal.
        process.ask("hears").await?;
        self.authors.lock().await.push(Author { process: Some((node, incarnation)), journal: process.journal() });
        *self.nodes[node].lock().await = Some(process);
        Ok(())
    }

    async fn ask_all(&self, word: &str) -> Result<Vec<String>> {
        let mut answers = Vec::new();
        for node in 0..NODES {
            answers.push(self.node(node).await.ask(word).await?);
        }
        Ok(answers)
    }

    /// Waits until every node has heard the others, and had nothing left to tell; returns what one says that has not in time.
    ///
    /// Not all in one moment, which need not come while they write.
    pub async fn recover(&self) -> Result<Option<String>> {
        let began = Instant::now();
        for node in 0..NODES {
            loop {
                let answer = self.node(node).await.ask("hears").await?;
                match answer.as_str() {
                    "hears" => break,
                    _ if began.elapsed() < RECOVERY => sleep(Duration::from_millis(50)).await,
                    deaf => return Ok(Some(format!("it has not recovered after {RECOVERY:?}: {deaf}"))),
                }
            }
        }
        Ok(None)
    }

    /// When all is quiet: what is cached is compared; then everything is read by all, and half of it written, by each a share,
    /// and what is cached after that is compared again.
    async fn audit(&self) -> Result<Option<String>> {
        if let Some(problem) = self.recover().await? {
            return Ok(Some(problem));
        }
        // They go on for a while, so that what the last faults have left behind is read, and there is something to compare.
        sleep(LEASE * 2).await;
        self.ask_all("quiet").await?;
        // What is in doubt is told a second time.
        sleep(SETTLE * 3).await;
        if let Some(problem) = self.recover().await? {
            return Ok(Some(problem));
        }
        sleep(LEASE).await;
        self.ask_all("list").await?;
        self.ask_all("warm").await?;
        for answer in self.ask_all("write").await? {
            ensure!(answer == "written", "{answer}");
        }
        sleep(LEASE).await;
        let problem = self.recover().await?;
        self.ask_all("list").await?;
        self.ask_all("end").await?;
        Ok(problem)
    }
}
