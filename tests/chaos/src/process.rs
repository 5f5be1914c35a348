//! A node's process, as the driver sees it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::node;

/// Within this time a node answers, however busy the machine is.
const DEADLINE: Duration = Duration::from_mins(2);

/// A process that ends with this value.
pub struct Process {
    child: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// What it was started with.
    pub options: node::Options,
}

impl Process {
    /// Starts a node.
    pub fn start(program: &Path, options: node::Options) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["node", "--node", &options.node.to_string()]);
        command.args(["--incarnation", &options.incarnation.to_string()]);
        command.args(["--amqp", &options.amqp, "--seed", &options.seed.to_string()]);
        command.arg("--table").arg(&options.table).arg("--journal").arg(&options.journal);
        command.args(["--transport", options.transport.name()]);
        if let Some(mutation) = &options.mutation {
            command.args(["--mutation", mutation]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let input = child.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        Ok(Self { child, input, answers, options })
    }

    /// Where it writes down what happens.
    pub fn journal(&self) -> PathBuf {
        self.options.journal.clone()
    }

    /// Tells it to do something, and returns its answer.
    pub async fn ask(&mut self, word: &str) -> Result<String> {
        let answer = async {
            self.input.write_all(format!("{word}\n").as_bytes()).await?;
            self.answers.next_line().await
        };
        let node = self.options.node;
        match timeout(DEADLINE, answer).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => bail!("node {node} has ended, when it was told `{word}`"),
            Ok(Err(error)) => Err(error).with_context(|| format!("node {node} cannot be told `{word}`")),
            Err(_) => bail!("node {node} does not answer to `{word}` within {DEADLINE:?}"),
        }
    }

    /// Freezes it, or lets it go on.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.with_context(|| format!("node {} has ended by itself", self.options.node))?;
        kill_process(id, signal).context("a child can be signalled")
    }

    /// Kills it with SIGKILL.
    pub async fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("node {} has ended by itself: {status}", self.options.node);
        }
        self.child.kill().await?;
        Ok(())
    }
}
