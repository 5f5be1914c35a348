//! Private RabbitMQ nodes for tests.
//!
//! Each node has its own folder, ports, cookie and epmd, so it meets no other broker of the machine. It runs from the
//! scripts of Debian's package `rabbitmq-server`, as any user.
//!
//! Invariant: nothing outlives the test process, however that ends. A watchdog process waits for the end of a pipe that
//! only the test process holds open, then kills the node and its epmd and removes the folder. Dropping a [`Broker`]
//! closes the pipe and waits for the watchdog, so there is one way of cleaning up, and it works for statics too, which
//! are never dropped.

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The environment variable with the URL of a broker for [`Broker::shared`].
pub const URL_VARIABLE: &str = "CACHESYNC_AMQP_URL";

const NODE: &str = "cachesync@localhost";
/// The arguments by which `rabbitmqctl` does what [`Broker::write_out`] says.
pub const WRITE_OUT: &[&str] = &["eval", "[ok = dets:sync(Table) || Table <- dets:all()]."];
const START_DEADLINE: Duration = Duration::from_mins(1);
const INSTRUCTIONS: &str = "this test needs RabbitMQ: run `cargo xtask test`, which sets it up, or install it \
    (`apt-get install rabbitmq-server`); tests that share a broker also take the one that CACHESYNC_AMQP_URL names";

/// Where Debian's package puts the scripts; those in `sbin` change user and directory.
const DEBIAN_SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// Writes the process group into `$1/group`, then becomes `$2`. Without the folder, which the watchdog has taken away
/// then, nothing is started.
const LAUNCH: &str = r#"echo "-$$" >"$1/group.new" && mv "$1/group.new" "$1/group" && exec "$2""#;

/// Reads its input until the owner is gone, then removes every trace. `$1` is the node's folder, `$2` its epmd's port,
/// `$3` the program epmd.
///
/// The folder is renamed first: a launch that comes later finds none, and one that came earlier has written its group.
const WATCHDOG: &str = r#"
trap "" HUP INT TERM
cat
mv "$1" "$1.ended"
for file in "$1.ended/group" "$1.ended/pid"; do
    if [ -s "$file" ]; then
        kill -s KILL -- "$(cat "$file")"
    fi
done
tries=0
# epmd does not end as long as it believes that the node lives.
while [ $tries -lt 50 ] && "$3" -port "$2" -names && ! "$3" -port "$2" -kill; do
    tries=$((tries + 1))
    sleep 0.1
done
# A node that was not dead at once may have made its folder anew.
rm -rf "$1" "$1.ended"
"#;

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
            match Node::start(&scripts, &configuration) {
                Ok(node) => {
                    return Self { url: format!("amqp://guest:guest@127.0.0.1:{}", node.port), private: Some(node) };
                }
                Err(error) => failure = error,
            }
        }
        panic!("the private RabbitMQ node did not start: {failure}");
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

    /// Runs `rabbitmqctl` with these arguments and returns what it prints.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.try_ctl(arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same where it may fail, as against a node that has just begun to run.
    ///
    /// # Errors
    ///
    /// What it printed.
    pub fn try_ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let node = self.node();
        let output = node
            .prepare(Command::new(node.scripts.join("rabbitmqctl")))
            .args(["-q", "-n", NODE, "--timeout", "30"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("rabbitmqctl runs");
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(out.into_owned())
        } else {
            Err(format!("rabbitmqctl {arguments:?}: {out}{error}"))
        }
    }

    fn node(&self) -> &Node {
        self.private.as_ref().expect("only a private node can be controlled: use `Broker::start()`")
    }
}

/// The folder with the scripts of RabbitMQ; `None` if it is not installed.
pub fn scripts() -> Option<PathBuf> {
    let debian = PathBuf::from(DEBIAN_SCRIPTS);
    [debian].into_iter().chain(search_path()).find(|folder| folder.join("rabbitmq-server").is_file())
}

/// A node's processes, ports and folder.
#[derive(Debug)]
struct Node {
    scripts: PathBuf,
    folder: PathBuf,
    port: u16,
    distribution_port: u16,
    epmd_port: u16,
    process: Mutex<Option<Child>>,
    watchdog: Child,
}

impl Node {
    fn start(scripts: &Path, configuration: &impl Fn(&Path) -> String) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("cachesync-rabbitmq-{}-{count}", id()));
        let [port, distribution_port, epmd_port] = free_ports();
        fs::create_dir_all(folder.join("home")).expect("a folder for the node");
        let watchdog = watch(&folder, epmd_port);
        let node = Self {
            scripts: scripts.to_owned(),
            folder,
            port,
            distribution_port,
            epmd_port,
            process: Mutex::new(None),
            watchdog,
        };
        node.configure(configuration).expect("the node's folder can be written");
        node.run()?;
        Ok(node)
    }

    fn configure(&self, configuration: &impl Fn(&Path) -> String) -> std::io::Result<()> {
        fs::create_dir_all(self.folder.join("log"))?;
        let cookie = self.folder.join("home/.erlang.cookie");
        fs::write(&cookie, "cachesync")?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        fs::write(self.folder.join("enabled_plugins"), "[].\n")?;
        let configuration = format!(
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\nlog.console = false\n{}",
            configuration(&self.folder)
        );
        fs::write(self.folder.join("rabbitmq.conf"), configuration)
    }

    /// `command` in this node's environment.
    fn prepare(&self, mut command: Command) -> Command {
        let folder = &self.folder;
        command
            .current_dir(folder)
            .env("HOME", folder.join("home"))
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_NODENAME", NODE)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("advanced.config"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", folder.join("feature_flags"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command
    }

    /// Starts the node's process and waits until it speaks AMQP.
    fn run(&self) -> Result<(), String> {
        let log = fs::File::create(self.folder.join("log/start.log")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let process = self
            .prepare(launch(&self.folder, &self.scripts.join("rabbitmq-server")))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| error.to_string())?;
        *self.process() = Some(process);
        let start = Instant::now();
        while !speaks_amqp(self.port) {
            let exited = self.process().as_mut().is_some_and(|process| !matches!(process.try_wait(), Ok(None)));
            if exited {
                self.kill_rest();
            }
            if exited || start.elapsed() > START_DEADLINE {
                let log = fs::read_to_string(self.folder.join("log/start.log")).unwrap_or_default();
                return Err(if exited { log } else { format!("no answer within {START_DEADLINE:?}; {log}") });
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn kill(&self) {
        let Some(mut process) = self.process().take() else { return };
        self.signal("KILL");
        // It cannot survive that, and the ids stand for it only until it is waited for.
        self.forget_ids();
        process.wait().expect("the node was our child");
    }

    /// Kills what is left of the group of a script that has just ended by itself.
    fn kill_rest(&self) {
        if let Ok(group) = fs::read_to_string(self.folder.join("group")) {
            // An error says that nothing is left.
            let _ = Command::new("kill").args(["-s", "KILL", "--", group.trim()]).stderr(Stdio::null()).status();
        }
        self.forget_ids();
    }

    /// Keeps the watchdog from killing others, who may have the ids of processes that have ended.
    fn forget_ids(&self) {
        for file in ["group", "pid"] {
            match fs::remove_file(self.folder.join(file)) {
                Err(error) if error.kind() != ErrorKind::NotFound => panic!("{file} cannot be removed: {error}"),
                _ => {}
            }
        }
    }

    /// Signals the node itself, not the scripts around it: they end when it has ended, so that waiting for them is
    /// waiting for its port to be free.
    fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("a running node has written its pid");
        let status = Command::new("kill").args(["-s", signal, pid.trim()]).status().expect("kill runs");
        assert!(status.success(), "the node of pid {} does not take SIG{signal}", pid.trim());
    }

    /// Whether every thread of the node is stopped. Where there is no `/proc` to tell, it is believed to be.
    fn is_stopped(&self) -> bool {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("a running node has written its pid");
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", pid.trim())) else { return true };
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok()).all(|stat| {
            // The state follows the name, which stands in parentheses and may have some itself.
            stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
        })
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `program`, to be started in a process group of its own, which the watchdog of `folder` knows from the start.
fn launch(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", LAUNCH, "launch"]).arg(folder).arg(program).process_group(0);
    command
}

/// Starts the watchdog of a node's folder.
fn watch(folder: &Path, epmd_port: u16) -> Child {
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(folder)
        .arg(epmd_port.to_string())
        // Without the program there is nothing to be done about epmd, and the watchdog goes on.
        .arg(epmd().unwrap_or_else(|| "epmd".into()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Not killed together with the tests by a Ctrl-C in the terminal.
        .process_group(0)
        .spawn()
        .expect("sh runs")
}

/// The program epmd: on the search path, or where Erlang is, which need not put it there.
fn epmd() -> Option<PathBuf> {
    find_epmd(&search_path())
}

fn find_epmd(search_path: &[PathBuf]) -> Option<PathBuf> {
    let program = |folder: &PathBuf| Some(folder.join("epmd")).filter(|epmd| epmd.is_file());
    search_path.iter().find_map(program).or_else(|| {
        let erl = search_path.iter().find_map(|folder| fs::canonicalize(folder.join("erl")).ok())?;
        let bin = erl.parent()?;
        // `bin` has links to what the runtime system, in `erts-<version>`, brings along.
        let runtimes = fs::read_dir(bin.parent()?).into_iter().flatten().flatten();
        let runtimes = runtimes.filter(|entry| entry.file_name().to_string_lossy().starts_with("erts-"));
        std::iter::once(bin.to_owned())
            .chain(runtimes.map(|entry| entry.path().join("bin")))
            .find_map(|folder| program(&folder))
    })
}

fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // A failing test must not fail once more here.
        let _ = self.watchdog.wait();
        if let Some(mut process) = self.process().take() {
            let _ = process.wait();
        }
    }
}

/// Ports of the loopback interface that nobody listens on now.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until the last is found, so that they differ.
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.each_ref().map(|listener| listener.local_addr().expect("its own address").port())
}

/// Whether RabbitMQ on this port answers the protocol header with a method frame, `connection.start`.
fn speaks_amqp(port: u16) -> bool {
    let limit = Duration::from_secs(2);
    let answer = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    matches!(answer(), Ok(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder of this test, `name`.
    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("cachesync-broker-{name}-{}", id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// A program that runs until it is killed.
    fn endless(folder: &Path) -> PathBuf {
        let program = folder.join("endless");
        fs::write(&program, "#!/bin/sh\nwhile :; do sleep 1; done\n").expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("made executable");
        program
    }

    fn appears(file: &Path) {
        let start = Instant::now();
        while !file.exists() {
            assert!(start.elapsed() < START_DEADLINE, "{} does not appear", file.display());
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_watchdog_ends_what_was_launched_even_if_nobody_has_seen_it_start() {
        let folder = folder("watched");
        let mut watchdog = watch(&folder, 1);
        let mut process = launch(&folder, &endless(&folder)).spawn().expect("sh runs");
        appears(&folder.join("group"));
        drop(watchdog.stdin.take());
        assert!(watchdog.wait().expect("our child").success());
        assert!(!process.wait().expect("our child").success());
        assert!(!folder.exists() && !folder.with_added_extension("ended").exists());
    }

    #[test]
    fn nothing_is_launched_after_the_watchdog_has_cleaned_up() {
        let folder = folder("late");
        let programs = self::folder("late-programs");
        let program = endless(&programs);
        let mut watchdog = watch(&folder, 1);
        drop(watchdog.stdin.take());
        watchdog.wait().expect("our child");
        let output = launch(&folder, &program).output().expect("sh runs");
        assert!(!output.status.success());
        fs::remove_dir_all(programs).expect("removed");
    }

    #[test]
    fn epmd_is_found_where_erlang_is() {
        let root = folder("erlang");
        let (path, erlang) = (root.join("path"), root.join("erlang"));
        for folder in [&path, &erlang.join("bin"), &erlang.join("erts-1.0/bin")] {
            fs::create_dir_all(folder).expect("a folder");
        }
        fs::write(erlang.join("bin/erl"), "").expect("written");
        assert_eq!(find_epmd(std::slice::from_ref(&path)), None);
        std::os::unix::fs::symlink(erlang.join("bin/erl"), path.join("erl")).expect("linked");
        assert_eq!(find_epmd(std::slice::from_ref(&path)), None);
        let root_seen = fs::canonicalize(&root).expect("it exists");
        for epmd in ["erlang/erts-1.0/bin/epmd", "erlang/bin/epmd"] {
            fs::write(root.join(epmd), "").expect("written");
            assert_eq!(find_epmd(std::slice::from_ref(&path)), Some(root_seen.join(epmd)));
        }
        fs::write(path.join("epmd"), "").expect("written");
        assert_eq!(find_epmd(std::slice::from_ref(&path)), Some(path.join("epmd")));
        fs::remove_dir_all(root).expect("removed");
    }
}
