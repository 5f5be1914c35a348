//! Private RabbitMQ nodes for tests.
//!
//! Each node has its own folder, ports, cookie and epmd, so it meets no other broker of the machine; those of a [`Cluster`]
//! have one epmd, and meet each other. It runs from the
//! scripts of Debian's package `rabbitmq-server`, as any user.
//!
//! Invariant: nothing outlives the test process, however that ends. A watchdog process waits for the end of a pipe that
//! only the test process holds open, then kills the node and its epmd and removes the folder. Dropping a [`Broker`]
//! closes the pipe and waits for the watchdog, so there is one way of cleaning up, and it works for statics too, which
//! are never dropped.

mod cluster;
mod node;
mod watchdog;

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use node::{Node, START_DEADLINE, speaks_amqp};

pub use cluster::Cluster;

/// The environment variable with the URL of a broker for [`Broker::shared`].
pub const URL_VARIABLE: &str = "CACHESYNC_AMQP_URL";

/// The arguments by which `rabbitmqctl` does what [`Broker::write_out`] says.
pub const WRITE_OUT: &[&str] = &["eval", "[ok = dets:sync(Table) || Table <- dets:all()]."];

const INSTRUCTIONS: &str = "this test needs RabbitMQ: run `cargo xtask test`, which sets it up, or install it \
    (`apt-get install rabbitmq-server`); tests that share a broker also take the one that CACHESYNC_AMQP_URL names";

/// Where Debian's package puts the scripts; those in `sbin` change user and directory.
const DEBIAN_SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// A RabbitMQ broker.
///
/// Its methods block: a start takes 4 to 20 s, a [`ctl`](Self::ctl) up to 1 s.
#[derive(Debug)]
pub struct Broker {
    url: String,
    private: Option<Node>,
}

impl Broker {
    /// Starts a node of one's own, to be killed and stopped at will.
    pub fn start() -> Self {
        Self::start_with(|_| String::new())
    }

    /// Starts a node with these lines in its `rabbitmq.conf` besides; the argument is its folder, for files of its own.
    pub fn start_with(configuration: impl Fn(&Path) -> String) -> Self {
        let scripts = scripts().unwrap_or_else(|| panic!("{INSTRUCTIONS}"));
        let mut failure = String::new();
        // Another process may take a free port before the node does.
        for _ in 0..3 {
            let [epmd_port] = free_ports();
            let node = Node::new(&scripts, "cachesync", epmd_port, "", &configuration);
            match node.run() {
                Ok(()) => return Self::of(node),
                Err(error) => failure = error,
            }
        }
        panic!("the private RabbitMQ node did not start: {failure}");
    }

    fn of(node: Node) -> Self {
        Self { url: format!("amqp://guest:guest@127.0.0.1:{}", node.port), private: Some(node) }
    }

    /// The broker that the tests of a binary share: the one that [`URL_VARIABLE`] names, or a node that is started at
    /// the first call. It must stay alive, and tests keep apart by their namespaces.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| match env::var(URL_VARIABLE) {
            Ok(url) if !url.is_empty() => Self { url, private: None },
            _ => Self::start(),
        })
    }

    /// A private node that the tests of a binary share, whether or not [`URL_VARIABLE`] is set: for
    /// [`ctl`](Self::ctl) commands that leave other tests alone.
    pub fn shared_private() -> &'static Self {
        static PRIVATE: OnceLock<Broker> = OnceLock::new();
        let shared = Self::shared();
        if shared.private.is_some() { shared } else { PRIVATE.get_or_init(Self::start) }
    }

    /// Its URL: user and password `guest`, the default virtual host, unless it was named by [`URL_VARIABLE`].
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL with this virtual host, user and password instead.
    pub fn url_with(&self, user: &str, password: &str, vhost: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}/{vhost}", self.node().port)
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        &self.node().folder
    }

    /// Kills it with SIGKILL; its clients' connections break.
    pub fn kill(&self) {
        self.node().kill();
    }

    /// Starts it again on its data and port, after [`kill`](Self::kill).
    pub fn restart(&self) {
        let node = self.node();
        node.kill();
        node.run().expect("the node runs again");
    }

    /// Starts it again on its port and on an empty disk, after [`kill`](Self::kill).
    pub fn restart_empty(&self) {
        let node = self.node();
        node.kill();
        fs::remove_dir_all(node.folder.join("mnesia")).expect("the node's data can be removed");
        node.run().expect("the node runs again");
    }

    /// Freezes it with SIGSTOP: connections stay open, and nothing answers.
    pub fn stop(&self) {
        let node = self.node();
        node.signal("STOP");
        // A thread that runs on another processor goes on for a moment, in which it may answer.
        let start = Instant::now();
        while !node.is_stopped() {
            assert!(start.elapsed() < START_DEADLINE, "the node does not stop");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets it go on after [`stop`](Self::stop).
    pub fn cont(&self) {
        self.node().signal("CONT");
    }

    /// Has it write to its disk which streams it has, as it would half a second after the last was made: one that is killed
    /// before that (seen on 3.10.8) has the data of all its streams when it is started again, and never opens one.
    pub fn write_out(&self) {
        self.ctl(WRITE_OUT);
    }

    /// Makes it short of memory, or no longer; from then on it takes no messages, or takes them again.
    pub fn set_short_of_memory(&self, short: bool) {
        self.ctl(&["set_vm_memory_high_watermark", "absolute", if short { "1MB" } else { "1GB" }]);
        let start = Instant::now();
        // It looks by and by.
        while self.ctl(&["eval", "rabbit_alarm:get_alarms()."]).contains("memory") != short {
            assert!(start.elapsed() < START_DEADLINE, "the alarm does not change");
        }
    }

    /// Whether it speaks AMQP.
    pub fn answers(&self) -> bool {
        speaks_amqp(self.node().port)
    }

    /// Runs `rabbitmqctl` with these arguments and returns what it prints.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.try_ctl(arguments).unwrap_or_else(|printed| panic!("rabbitmqctl {arguments:?}: {printed}"))
    }

    /// The same where it may fail, as against a node that has just begun to run.
    ///
    /// # Errors
    ///
    /// What it prints, if it fails.
    pub fn try_ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let node = self.node();
        let output = node
            .prepare(Command::new(node.scripts.join("rabbitmqctl")))
            .args(["-q", "-n", &node.name, "--timeout", "120"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("rabbitmqctl runs");
        let [printed, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        if output.status.success() { Ok(printed.into_owned()) } else { Err(format!("{printed}{errors}")) }
    }

    fn is_killed(&self) -> bool {
        self.node().process().is_none()
    }

    fn release(&mut self) {
        if let Some(node) = &mut self.private {
            node.release();
        }
    }

    fn node(&self) -> &Node {
        self.private.as_ref().expect("only a private node can be controlled: use `Broker::start()`")
    }
}

/// The folder with the scripts of RabbitMQ; `None` if it is not installed.
pub fn scripts() -> Option<PathBuf> {
    let debian = PathBuf::from(DEBIAN_SCRIPTS);
    [debian].into_iter().chain(watchdog::search_path()).find(|folder| folder.join("rabbitmq-server").is_file())
}

/// Ports of the loopback interface that nobody listens on now.
///
/// They are none of those that Linux chooses from where somebody asks for any port, or connects. So nobody takes them between
/// this and a node's start, or while a node is down; and this process gives each of them once.
pub fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u16 = 16_384;
    const COUNT: u16 = 16_384;
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        // Each process begins elsewhere.
        let [low, high, ..] = RandomState::new().hash_one(process::id()).to_le_bytes();
        AtomicU16::new(u16::from_le_bytes([low, high]))
    });
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::array::from_fn(|_| {
        let mut ports = (0..COUNT).map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT);
        ports.find(is_free).expect("a free port")
    })
}
