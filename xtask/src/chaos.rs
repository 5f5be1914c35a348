//! Chaos, for longer than the ordinary test run has it, and with rules broken on purpose.
//!
//! It is the program of the package `cachesync-chaos` in `tests/chaos`.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use clap::Args;

use crate::rabbitmq;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// For how long faults happen; each kind comes at least once.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Decides the plan and the load.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How evictions travel: by `queues`, one for each session, or by `streams`.
    #[arg(long, default_value = "queues")]
    transport: String,
    /// In place of the plan: the broker stays away for so many minutes, under write load, while memory and queues are
    /// watched.
    #[arg(long, value_name = "MINUTES", conflicts_with = "minutes")]
    outage: Option<f64>,
    /// Breaks a rule in all nodes, by its name in `cachesync/src/mutation.rs`, and demands that the run notices.
    #[arg(long, value_name = "NAME")]
    mutation: Option<String>,
    /// Keeps the journals, also of a run in which all rules held.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn chaos(options: &Options) -> Result<ExitStatus> {
    rabbitmq::provide()?;
    let Options { minutes, seed, transport, outage, mutation, keep } = options;
    let mut command = driver(mutation.is_some());
    command.args(["--minutes", &minutes.to_string(), "--seed", &seed.to_string(), "--transport", transport]);
    if let Some(minutes) = outage {
        command.args(["--outage", &minutes.to_string()]);
    }
    if let Some(mutation) = mutation {
        command.args(["--mutation", mutation]);
    }
    if *keep {
        command.arg("--keep");
    }
    command.status().context("cargo cannot be started")
}

fn driver(breaks_rules: bool) -> Command {
    let mut command = crate::cargo();
    command.args(["run", "--package", "cachesync-chaos"]);
    if breaks_rules {
        // In a folder of its own: the flags build everything anew, and are to be nowhere near what is shipped.
        command.args(["--target-dir", "target/mutations-chaos"]);
        command.env("RUSTFLAGS", "--cfg cachesync_mutations --cfg cachesync_real_bounds");
    }
    command.args(["--", "drive"]);
    command
}
