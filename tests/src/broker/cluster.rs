//! A cluster of RabbitMQ nodes that can be split.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Broker, INSTRUCTIONS, free_ports,
    node::{Node, START_DEADLINE},
    scripts,
};

/// How many nodes a cluster has: the fewest of which some can be a majority after one is lost.
const NODES: usize = 3;

/// After how many seconds without a sign of life a node counts as down; RabbitMQ's default is 60. Erlang's check is a coarse one: it may
/// take a quarter less or more.
const NET_TICKTIME: u64 = 8;

/// Stops what Erlang sends between this node and others, `$PEERS`, as a network does that swallows packets: what is connected
/// reads nothing more, and nobody is accepted, until the file `$HEALED` appears.
///
/// Nobody is told, so each side notices in its own time. While it lasts no [`Broker::ctl`] reaches the node either.
const STALL: &str = r#"
spawn(fun() ->
    Acceptors = [P || P <- processes(), {initial_call, {inet_tcp_dist, _, _}} <- [process_info(P, initial_call)],
        {current_function, {prim_inet, _, _}} <- [process_info(P, current_function)]],
    [_ | _] = Acceptors,
    [erlang:suspend_process(P) || P <- Acceptors],
    Active = fun(Mode) ->
        [inet:setopts(C, [{active, Mode}]) || {N, C} <- erlang:system_info(dist_ctrl), lists:member(N, $PEERS)]
    end,
    Active(false),
    Wait = fun Wait() -> filelib:is_file("$HEALED") orelse begin timer:sleep(50), Wait() end end,
    Wait(),
    Active(true)
end), ok.
"#;

/// Three RabbitMQ nodes that are one cluster, with `pause_minority`. A start takes 10 to 40 s.
///
/// Its methods block, as those of [`Broker`].
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    /// The file that heals the split there is.
    split: Mutex<Option<PathBuf>>,
    /// How many splits there were.
    splits: AtomicU32,
}

impl Cluster {
    /// Longer than this a side of a cluster that is split does not fail to notice.
    pub const DETECTION: Duration = Duration::from_millis(NET_TICKTIME * 1250);

    /// Starts it.
    pub fn start() -> Self {
        let scripts = scripts().unwrap_or_else(|| panic!("{INSTRUCTIONS}"));
        let mut failure = String::new();
        for _ in 0..3 {
            match Self::try_start(&scripts) {
                Ok(cluster) => return cluster,
                Err(error) => failure = error,
            }
        }
        panic!("the RabbitMQ cluster did not start: {failure}");
    }

    fn try_start(scripts: &Path) -> Result<Self, String> {
        let [epmd_port] = free_ports();
        let name = |index: usize| format!("cachesync-{}", index + 1);
        // They start together and find each other, which takes a third of the time of joining them one by one.
        let discovery = "cluster_formation.peer_discovery_backend = classic_config\n\
             cluster_formation.randomized_startup_delay_range.min = 0\n\
             cluster_formation.randomized_startup_delay_range.max = 1\n";
        let peers = (0..NODES)
            .map(|index| format!("cluster_formation.classic_config.nodes.{} = {}@localhost\n", index + 1, name(index)));
        let configuration =
            format!("cluster_partition_handling = pause_minority\n{discovery}{}", peers.collect::<String>());
        let arguments = format!("-kernel net_ticktime {NET_TICKTIME}");
        let node = |index| Node::new(scripts, &name(index), epmd_port, &arguments, |_| configuration.clone());
        let brokers = (0..NODES).map(|index| Broker::of(node(index))).collect();
        let cluster = Self { brokers, split: Mutex::default(), splits: AtomicU32::default() };
        on_all(&cluster.brokers, |broker| broker.node().run()).into_iter().collect::<Result<(), _>>()?;
        cluster.await_whole()?;
        Ok(cluster)
    }

    /// Its nodes.
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// The URLs of its nodes.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.brokers.iter().map(Broker::url)
    }

    /// What every node does when it is cut off from others: `ignore` or `pause_minority`.
    pub fn set_partition_handling(&self, handling: &str) {
        let setting = format!("application:set_env(rabbit, cluster_partition_handling, {handling}).");
        on_all(&self.brokers, |broker| broker.ctl(&["eval", &setting]));
    }

    /// Swallows all that is sent between this node and the others, until [`repair`](Self::repair).
    ///
    /// No end of the link is told: each side notices when it has heard nothing for a while, at the latest after
    /// [`DETECTION`](Self::DETECTION). No [`Broker::ctl`] reaches any node meanwhile.
    pub fn isolate(&self, index: usize) {
        let isolated = &self.brokers[index];
        let others: Vec<&Broker> = self.brokers.iter().filter(|broker| !std::ptr::eq(*broker, isolated)).collect();
        let healed = isolated.folder().join(format!("healed-{}", self.splits.fetch_add(1, Ordering::Relaxed)));
        let before = self.split().replace(healed.clone());
        assert!(before.is_none(), "it is split already");
        on_all(&self.brokers, |broker| {
            let peers = if std::ptr::eq(broker, isolated) { &others[..] } else { &[isolated] };
            let peers: Vec<_> = peers.iter().map(|peer| format!("'{}'", peer.node().name)).collect();
            let stall = STALL
                .replace("$PEERS", &format!("[{}]", peers.join(",")))
                .replace("$HEALED", healed.to_str().expect("a path in UTF-8"));
            if !broker.is_killed() {
                broker.ctl(&["eval", &stall]);
            }
        });
    }

    /// [`repair`](Self::repair), and what a test that failed halfway has left: an ignored split, another handling of splits.
    pub fn restore(&self) {
        let isolated = self
            .split()
            .as_ref()
            .and_then(|healed| self.brokers.iter().find(|broker| healed.parent() == Some(broker.folder())));
        if let Some(isolated) = isolated {
            isolated.kill();
        }
        self.repair();
        self.set_partition_handling("pause_minority");
    }

    /// Heals a split, starts what was killed, and waits until it is one cluster again.
    ///
    /// # Panics
    ///
    /// If it does not become one, as after a split that was ignored: a side of it has to be killed before.
    pub fn repair(&self) {
        if let Some(healed) = self.split().take() {
            // It stays: each end looks at it when it comes to it, and the next split has another one.
            fs::write(&healed, "").expect("the node's folder can be written");
        }
        // Together: one that was not the last to end waits for those that were.
        on_all(&self.brokers, |broker| {
            if broker.is_killed() {
                broker.restart();
            }
        });
        self.await_whole().expect("the cluster becomes one again");
    }

    fn await_whole(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let whole = "catch rabbit:is_running() andalso length(rabbit_mnesia:cluster_nodes(running)).";
            let seen = on_all(&self.brokers, |broker| broker.try_ctl(&["eval", whole]));
            let is_whole =
                |answer: &Result<String, String>| matches!(answer, Ok(count) if count.trim() == NODES.to_string());
            if seen.iter().all(is_whole) && self.brokers.iter().all(Broker::answers) {
                return Ok(());
            }
            if start.elapsed() > START_DEADLINE {
                return Err(format!("how many nodes each sees running: {seen:?}"));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn split(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.split.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &mut self.brokers {
            broker.release();
        }
    }
}

/// What `act` returns for each of them, all at the same time.
fn on_all<T: Send>(brokers: &[Broker], act: impl Fn(&Broker) -> T + Sync) -> Vec<T> {
    let act = &act;
    thread::scope(|scope| {
        let threads: Vec<_> = brokers.iter().map(|broker| scope.spawn(move || act(broker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    })
}
