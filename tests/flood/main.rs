//! Floods the nodes of a namespace with messages of every kind that mean no good: `cargo xtask flood`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use cachesync_tests::flood::Flood;
use clap::Parser;

/// Floods the nodes of a namespace with messages of every kind that mean no good.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask flood")]
struct Options {
    /// The broker.
    #[arg(long, default_value = "amqp://guest:guest@localhost")]
    url: String,
    /// The exchange of the nodes.
    #[arg(long, default_value = "cachesync")]
    exchange: String,
    /// Their namespace.
    #[arg(long)]
    namespace: String,
    /// The cache that is flooded.
    #[arg(long)]
    cache: String,
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many connections publish at the same time.
    #[arg(long, default_value_t = 4)]
    publishers: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let start = Instant::now();
    let Options { url, exchange, namespace, cache, .. } = &options;
    let flood = Flood::start(url, exchange, namespace, cache, options.publishers);
    while start.elapsed() < Duration::from_secs(options.seconds) && !flood.has_ended() {
        std::thread::sleep(Duration::from_millis(100));
    }
    match flood.end() {
        Ok(sent) => {
            println!("{sent} messages in {:?}", start.elapsed());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "error: the broker has ended the flood, or cannot be reached: {error}; see `--url` and `--exchange`"
            );
            ExitCode::FAILURE
        }
    }
}
