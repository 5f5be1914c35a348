//! A cluster of nodes with coherent caches: `cargo run --example cluster`, from the root of the workspace.
//!
//! | module | holds |
//! |---|---|
//! | [`table`] | the source of truth, which stands in for a database |
//! | [`users`] | the repository with the annotated functions: what you would write |
//! | [`node`] | one running copy of the service: a registry, and the repository on it |
//! | [`scenario`] | what three nodes show, and the proof of it |
//! | [`prompt`] | the prompt of a node that is a process of its own |
//! | [`args`] | the command line |

#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc, reason = "a program in parts, and not an API")]

pub mod args;
pub mod node;
pub mod prompt;
pub mod scenario;
pub mod table;
pub mod users;

use std::{
    io, process,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use args::Args;
use cachesync::{amqp::AmqpBackend, memory::MemoryBackend};
use clap::Parser;
use node::{Node, Transport};
use table::Table;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Does what the command line says.
#[tokio::main]
pub async fn main() -> ExitCode {
    // Warnings, such as that the broker is away. What lapin logs of it besides is left out.
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(io::stderr))
        .with(Targets::new().with_target("cachesync", LevelFilter::WARN))
        .init();
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    match (&args.node, &args.amqp) {
        (Some(name), Some(url)) => {
            let table = Table::in_file(args.table());
            let node = Node::start(name, &args.namespace, broker(url)?, table).await?;
            prompt::run(&node).await
        }
        (_, Some(url)) => scenario::run(broker(url)?, &unique_namespace(), &mut io::stdout()).await,
        (_, None) => scenario::run(Transport::Memory(MemoryBackend::new()), "example", &mut io::stdout()).await,
    }
}

fn broker(url: &str) -> Result<Transport> {
    Ok(Transport::Amqp(Box::new(AmqpBackend::new(url)?)))
}

/// Runs that share a broker do not hear each other.
fn unique_namespace() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("example-{}-{}", process::id(), now.as_nanos())
}
