//! The models: a few threads each, run by a checker under many schedules.
//!
//! They are unit tests of `cachesync`, compiled with a flag of their own.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only models whose name begins with this, such as `lease` or `fills::a_load_meets`.
    #[arg(default_value = "")]
    name: String,
    /// How many schedules at random, and how many by changing priorities, of each model.
    #[arg(long)]
    iterations: Option<usize>,
    /// How many preemptions there are at the most where all such schedules are tried.
    #[arg(long)]
    preemptions: Option<usize>,
    /// Runs one schedule again, of the one model that is named.
    #[arg(long, value_name = "SCHEDULE", conflicts_with_all = ["iterations", "preemptions"])]
    replay: Option<String>,
}

pub(crate) fn model(options: &Options) -> Result<ExitStatus> {
    let mut command = models();
    let number = |number: Option<usize>| number.map(|number| number.to_string());
    let settings = [
        ("ITERATIONS", number(options.iterations)),
        ("PREEMPTIONS", number(options.preemptions)),
        ("REPLAY", options.replay.clone()),
    ];
    for (name, setting) in settings {
        if let Some(setting) = setting {
            command.env(format!("CACHESYNC_MODEL_{name}"), setting);
        }
    }
    command.args(["--", &in_models(&options.name)]);
    if options.replay.is_some() {
        command.args(["--exact", "--nocapture"]);
    }
    command.status().context("cargo cannot be started")
}

fn models() -> Command {
    let mut command = crate::cargo();
    // In a folder of its own: the flag builds everything anew, and is to be nowhere near what is shipped.
    command.args(["test", "--profile", "model", "--target-dir", "target/model"]);
    command.args(["--package", "cachesync", "--lib", "--no-default-features"]);
    command.env("RUSTFLAGS", "--cfg cachesync_shuttle");
    command
}

/// The name of a model among the unit tests. The others would be compiled with the flag, too, and cannot run with it.
fn in_models(name: &str) -> String {
    format!("model::{}", name.strip_prefix("model::").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_models_is_run() {
        assert_eq!(["", "lease", "model::lease"].map(in_models), ["model::", "model::lease", "model::lease"]);
    }
}
