//! Development commands of cachesync; `cargo xtask help` lists them.

mod bench;
mod chaos;
mod model;
mod packages;
mod rabbitmq;
mod simulate;

use std::{
    env,
    ffi::OsString,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Development commands of cachesync.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Sets up what the tests need, then runs all tests of the workspace, doctests included.
    ///
    /// Some tests need RabbitMQ. In this order: the broker that `CACHESYNC_AMQP_URL` names, an installed
    /// `rabbitmq-server`, or Debian's package of it, which is installed if this user may do that (as root, or by `sudo`
    /// without a password). Its service is neither started nor left enabled: the tests start private nodes and end them.
    ///
    /// Tests that kill or freeze a broker always start their own, from an installed `rabbitmq-server`.
    #[command(after_help = "Examples:\n  cargo xtask test\n  cargo xtask test --test broker\n  \
                            cargo xtask test -p cachesync-core -- --nocapture")]
    Test {
        /// Arguments for `cargo test`. Without `-p`, the whole workspace is tested, with all features, to the end.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO TEST ARGUMENTS")]
        arguments: Vec<OsString>,
    },
    /// Runs the simulation: nodes, a broker that fails and a database in virtual time, as each seed says.
    ///
    /// Ends at the first seed that breaks a rule, with the last events that concern it, and the command that shows all
    /// of them.
    #[command(after_help = "Examples:\n  cargo xtask simulate --seeds 100000 --from 2000\n  \
                            cargo xtask simulate --seeds 1 --from 4711 --trace\n  \
                            cargo xtask simulate --mutations")]
    Simulate(simulate::Options),
    /// Runs chaos: three nodes as processes, a RabbitMQ that is killed, frozen and emptied, links that are cut, and a checker.
    ///
    /// Ends with a report, and fails if a rule was broken. The seed decides which faults come in which order, and not what
    /// the machine makes of it: two runs of one seed are alike and not the same.
    #[command(after_help = "Examples:\n  cargo xtask chaos --minutes 10 --seed 7\n  \
                            cargo xtask chaos --outage 10\n  \
                            cargo xtask chaos --mutation ServePastTheLease")]
    Chaos(chaos::Options),
    /// Runs the models: the code that keeps the rules in a few threads, under every schedule with few preemptions and many
    /// others.
    ///
    /// A model that fails prints the command that runs the same schedule again.
    #[command(after_help = "Examples:\n  cargo xtask model\n  \
                            cargo xtask model fills::a_load_meets --preemptions 3\n  \
                            cargo xtask model --iterations 100000")]
    Model(model::Options),
    /// Runs the benchmarks and writes `docs/benchmarks.md`, with a chart (`.svg`) and the same as data (`.json`).
    ///
    /// Some need RabbitMQ, Redis or valgrind, which are installed as RabbitMQ is for the tests; what is started is private,
    /// hears nobody from outside, and ends with its program. A program that fails costs the rows of no other: they are
    /// written, the report says what is missing, and the command fails.
    #[command(after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench --quick --into /tmp/report\n  \
                            cargo xtask bench --into /tmp/report hits latency\n  cargo xtask bench --again\n  \
                            cargo xtask bench --check")]
    Bench(bench::Options),
    /// Floods the nodes of a namespace with messages of every kind that mean no good, as fast as the broker takes them.
    ///
    /// For a broker and nodes that run already, such as those of `cargo run --example cluster`. What nodes do about each kind
    /// is in ARCHITECTURE.md, "Hostile input".
    #[command(after_help = "Examples:\n  cargo xtask flood --namespace shop --cache users\n  \
                            cargo xtask flood --url amqp://localhost --namespace shop --cache users --seconds 60")]
    Flood {
        /// Options of the program: `--help` after `--` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let status = match Arguments::parse().command {
        Task::Test { arguments } => test(&arguments),
        Task::Simulate(options) => simulate::simulate(&options),
        Task::Chaos(options) => chaos::chaos(&options),
        Task::Bench(options) => bench::bench(&options),
        Task::Model(options) => model::model(&options),
        Task::Flood { arguments } => flood(&arguments),
    };
    match status {
        // What failed has been said by cargo, and its words are the last.
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn test(arguments: &[OsString]) -> Result<ExitStatus> {
    rabbitmq::provide()?;
    let mut command = cargo();
    command.arg("test");
    if !chooses_packages(arguments) {
        command.args(["--workspace", "--all-features", "--no-fail-fast"]);
    }
    command.args(arguments).status().context("cargo cannot be started")
}

fn flood(arguments: &[OsString]) -> Result<ExitStatus> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "cachesync-tests", "--example", "flood", "--"]);
    command.args(arguments).status().context("cargo cannot be started")
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether the arguments for `cargo test` say which packages are meant.
fn chooses_packages(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").filter_map(|argument| argument.to_str()).any(|argument| {
        argument == "--workspace"
            || argument == "--package"
            || argument.starts_with("--package=")
            || (argument.starts_with("-p") && !argument.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_chosen_before_the_double_dash() {
        let chooses = |arguments: &[&str]| chooses_packages(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(chooses(&["-p", "cachesync-core"]) && chooses(&["-pxtask"]) && chooses(&["--package=xtask"]));
        assert!(!chooses(&["--test", "broker"]) && !chooses(&["--", "-p"]) && !chooses(&[]));
    }

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
