//! The chaos of this workspace: a driver, and the nodes that it starts. `cargo xtask chaos` runs it.

use std::process::ExitCode;

use cachesync_chaos::{node, run};
use clap::{Parser, Subcommand};

/// Runs nodes as processes against a RabbitMQ that fails, and holds what they write down against the rules.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask chaos")]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Starts all the rest.
    Drive(run::Options),
    /// One of the nodes, as the driver starts it.
    Node(node::Options),
}

fn main() -> ExitCode {
    let ended = match Arguments::parse().role {
        Role::Drive(options) => run::run(&options).map(|report| {
            println!("{report}");
            let Some(mutation) = &options.mutation else { return report.passed() };
            // What is broken on purpose has to be noticed.
            println!("{mutation} was {}", if report.passed() { "NOT NOTICED" } else { "noticed, as it has to be" });
            !report.passed()
        }),
        Role::Node(options) => node::run(&options).map(|()| true),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
