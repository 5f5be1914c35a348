//! The simulation, for more seeds than the ordinary test run has, and with rules broken on purpose.
//!
//! It is the package `cachesync-simulation` in `tests/simulation`, told by environment variables what to do, and optimized.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Prints all that happens: time, node, row, event.
    #[arg(long)]
    trace: bool,
    /// Goes on after a seed that breaks a rule.
    #[arg(long)]
    keep_going: bool,
    /// Breaks the library in one way after the other, and demands that the simulation finds each of them.
    #[arg(long, conflicts_with_all = ["trace", "keep_going"])]
    mutations: bool,
}

pub(crate) fn simulate(options: &Options) -> Result<ExitStatus> {
    let Options { seeds, from, trace, keep_going, mutations } = options;
    let test = if *mutations { "mutations::" } else { "the_rules_hold_for_every_seed" };
    let mut command = simulation();
    command.env("CACHESYNC_SIMULATION_SEEDS", seeds.to_string());
    command.env("CACHESYNC_SIMULATION_FROM", from.to_string());
    for (name, is_set) in [("TRACE", trace), ("KEEP_GOING", keep_going)] {
        if *is_set {
            command.env(format!("CACHESYNC_SIMULATION_{name}"), "1");
        }
    }
    if *mutations {
        // In a folder of its own: the flag builds everything anew, and is to be nowhere near what is shipped.
        command.args(["--target-dir", "target/mutations"]).env("RUSTFLAGS", "--cfg cachesync_mutations");
    }
    command.arg("--").args(["--nocapture", test]);
    command.status().context("cargo cannot be started")
}

fn simulation() -> Command {
    let mut command = crate::cargo();
    command.args(["test", "--release", "--package", "cachesync-simulation"]);
    command
}
