//! One RabbitMQ node: its processes, ports and folder.

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    free_ports,
    watchdog::{launch, watch},
};

/// Within this time a node is there, however busy the machine is.
pub(super) const START_DEADLINE: Duration = Duration::from_mins(6);

/// A node's processes, ports and folder.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) scripts: PathBuf,
    pub(super) folder: PathBuf,
    /// As Erlang knows it, `name@localhost`.
    pub(super) name: String,
    /// Arguments of Erlang's besides.
    arguments: String,
    pub(super) port: u16,
    distribution_port: u16,
    epmd_port: u16,
    process: Mutex<Option<Child>>,
    watchdog: Child,
}

impl Node {
    /// A node that does not run yet. Those that are to find each other have one `epmd_port`.
    pub(super) fn new(
        scripts: &Path,
        name: &str,
        epmd_port: u16,
        arguments: &str,
        configuration: impl Fn(&Path) -> String,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("cachesync-rabbitmq-{}-{count}", id()));
        let [port, distribution_port] = free_ports();
        fs::create_dir_all(folder.join("home")).expect("a folder for the node");
        let watchdog = watch(&folder, epmd_port);
        let node = Self {
            scripts: scripts.to_owned(),
            folder,
            name: format!("{name}@localhost"),
            arguments: arguments.to_owned(),
            port,
            distribution_port,
            epmd_port,
            process: Mutex::new(None),
            watchdog,
        };
        node.configure(configuration).expect("the node's folder can be written");
        node
    }

    fn configure(&self, configuration: impl Fn(&Path) -> String) -> std::io::Result<()> {
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
    pub(super) fn prepare(&self, mut command: Command) -> Command {
        let folder = &self.folder;
        command
            .current_dir(folder)
            .env("HOME", folder.join("home"))
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_NODENAME", &self.name)
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
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!("-kernel inet_dist_use_interface {{127,0,0,1}} {}", self.arguments),
            );
        command
    }

    /// Starts the node's process and waits until it speaks AMQP.
    pub(super) fn run(&self) -> Result<(), String> {
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

    pub(super) fn kill(&self) {
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
    pub(super) fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("a running node has written its pid");
        let status = Command::new("kill").args(["-s", signal, pid.trim()]).status().expect("kill runs");
        assert!(status.success(), "the node of pid {} does not take SIG{signal}", pid.trim());
    }

    /// Whether every thread of the node is stopped. Where there is no `/proc` to tell, it is believed to be.
    pub(super) fn is_stopped(&self) -> bool {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("a running node has written its pid");
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", pid.trim())) else { return true };
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok()).all(|stat| {
            // The state follows the name, which stands in parentheses and may have some itself.
            stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
        })
    }

    /// Lets the watchdog clean up. Nodes of one epmd are all released before the first is dropped, since it waits for epmd,
    /// which does not end before all are gone.
    pub(super) fn release(&mut self) {
        drop(self.watchdog.stdin.take());
    }

    pub(super) fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.release();
        // A failing test must not fail once more here.
        let _ = self.watchdog.wait();
        if let Some(mut process) = self.process().take() {
            let _ = process.wait();
        }
    }
}

/// Whether RabbitMQ on this port answers the protocol header with a method frame, `connection.start`.
pub(super) fn speaks_amqp(port: u16) -> bool {
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
