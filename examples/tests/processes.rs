//! Nodes that are processes of their own, over RabbitMQ: one writes, others read, one is killed, the broker restarts.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cachesync_tests::broker::Broker;

/// How long to wait for what takes milliseconds, or for a broker that restarts seconds.
const DEADLINE: Duration = Duration::from_mins(2);
/// How often a node is asked.
const INTERVAL: Duration = Duration::from_millis(5);

/// A process with one node, and its prompt.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(name: &str, namespace: &str, url: &str, table: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cluster-node"))
            .args(["--node", name, "--namespace", namespace, "--amqp", url, "--table"])
            .arg(table)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example runs");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    /// The first line of the answer to a command.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").expect("the node lives");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("the node answers");
        if command == "stats" {
            self.output.read_line(&mut String::new()).expect("the node answers in two lines");
        }
        answer.trim_end().to_owned()
    }

    #[track_caller]
    fn expect(&mut self, command: &str, expected: &str) {
        let answer = self.ask(command);
        assert!(answer.starts_with(expected), "{command}: {answer}");
    }

    /// Waits until others have evicted so many keys here. Until then user 1 has the old or the new name, from then on the
    /// new one, which is loaded at most once.
    #[track_caller]
    fn learns(&mut self, evicted: u64, old: &str, new: &str) {
        let began = Instant::now();
        while self.count("evicted_by_others") < evicted {
            let answer = self.ask("get 1");
            let expected = [old, new].map(|name| format!("1 = {name} ("));
            assert!(expected.iter().any(|expected| answer.starts_with(expected)), "{answer}");
            assert!(began.elapsed() < DEADLINE, "not evicted after {DEADLINE:?}; {answer}");
            thread::sleep(INTERVAL);
        }
        self.expect("get 1", &format!("1 = {new} ("));
        self.expect("get 1", &format!("1 = {new} (hit"));
    }

    #[track_caller]
    fn awaits(&mut self, what: &str, condition: impl Fn(&mut Self) -> bool) {
        let began = Instant::now();
        while !condition(self) {
            assert!(began.elapsed() < DEADLINE, "no {what} within {DEADLINE:?}");
            thread::sleep(INTERVAL);
        }
    }

    /// One of the numbers that `stats` tells.
    fn count(&mut self, name: &str) -> u64 {
        let stats = self.ask("stats");
        let value = stats.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {stats}"))
    }

    #[track_caller]
    fn quit(mut self) {
        writeln!(self.input, "quit").expect("the node lives");
        assert!(self.child.wait().expect("it was our child").success());
    }
}

/// Nothing outlives a test that fails.
impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn what_one_process_commits_the_others_load_afresh_and_neither_a_killed_node_nor_a_restarted_broker_changes_that() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("users.json");
    let start = |name| Process::start(name, "processes", broker.url(), &table);
    let (mut one, mut two, mut three) = (start("one"), start("two"), start("three"));

    // A node that answers has subscribed.
    for node in [&mut one, &mut two, &mut three] {
        node.expect("get 1", "1 is not there (load");
    }
    one.expect("set 1 Ada", "set 1 = Ada, committed 1 change");
    one.learns(0, "Ada", "Ada");
    two.learns(1, "Ada", "Ada");
    three.learns(1, "Ada", "Ada");

    // A transaction over several lines.
    one.expect("begin", "transaction open");
    one.expect("set 1 Grace", "set 1 = Grace, not committed yet");
    one.expect("set 2 Barbara", "set 2 = Barbara, not committed yet");
    one.expect("get 1", "1 = Grace (load");
    two.expect("get 1", "1 = Ada (hit");
    three.expect("get 2", "2 is not there");
    one.expect("commit", "committed 2 changes");
    two.learns(3, "Ada", "Grace");
    three.learns(3, "Ada", "Grace");
    three.expect("get 2", "2 = Barbara (load");

    // A node that is killed takes its transaction with it, and nobody else.
    three.expect("begin", "transaction open");
    three.expect("set 1 Nobody", "set 1 = Nobody, not committed yet");
    drop(three);
    two.expect("get 1", "1 = Grace (hit");
    two.expect("set 1 Radia", "set 1 = Radia, committed 1 change");
    one.learns(1, "Grace", "Radia");
    // What the broker had not confirmed would be told again.
    two.awaits("confirmations", |two| two.count("unconfirmed") == 0);

    // A broker that restarts: what was committed meanwhile is delivered, and the nodes go on.
    broker.kill();
    one.expect("set 1 Hedy", "set 1 = Hedy, committed 1 change; the broker is away");
    one.expect("get 1", "1 = Hedy (load");
    let cleared = [one.count("cleared"), two.count("cleared")];
    broker.restart();
    one.awaits("the broker", |one| one.count("cleared") > cleared[0] && one.count("unconfirmed") == 0);
    two.awaits("the broker", |two| two.count("cleared") > cleared[1]);
    two.expect("get 1", "1 = Hedy (");
    two.expect("set 1 Ida", "set 1 = Ida, committed 1 change");
    one.learns(2, "Hedy", "Ida");
    one.quit();
    two.quit();
}

#[test]
fn the_scenario_holds_over_rabbitmq() {
    let output = Command::new(env!("CARGO_BIN_EXE_cluster-node"))
        .args(["--amqp", Broker::shared().url()])
        .output()
        .expect("the example runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{error}");
    assert!(out.contains("| node-3 |"), "{out}");
}

#[test]
fn a_broker_that_is_not_there_is_an_error_without_the_password() {
    let output = Command::new(env!("CARGO_BIN_EXE_cluster-node"))
        .args(["--amqp", "amqp://shop:hunter2@127.0.0.1:1", "--node", "one"])
        .output()
        .expect("the example runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("one cannot start: RabbitMQ cannot be reached at 127.0.0.1:1"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
