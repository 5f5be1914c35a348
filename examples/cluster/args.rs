//! The command line.

use std::path::PathBuf;

use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  cargo run --example cluster
  cargo run --example cluster -- --amqp amqp://localhost
  cargo run --example cluster -- --amqp amqp://localhost --node alice
  printf 'set 1 Ada\\nget 1\\nstats\\n' | cargo run --example cluster -- --amqp amqp://localhost --node bob";

/// Several nodes with coherent caches.
///
/// Three nodes in this process show what cachesync does, check it, and end. With `--node`, this process is one node, with
/// a prompt; start as many as you like.
#[derive(Debug, Parser)]
#[command(name = "cluster", after_help = EXAMPLES)]
pub struct Args {
    /// The RabbitMQ broker to use; left out: no broker, the nodes of this process share a hub in memory.
    #[arg(long, value_name = "URL")]
    pub amqp: Option<String>,

    /// Run one node of this name. It takes commands from standard input, `help` lists them.
    #[arg(long, value_name = "NAME", requires = "amqp")]
    pub node: Option<String>,

    /// The name that the nodes of one cluster share.
    #[arg(long, value_name = "NAME", requires = "node", default_value = "example")]
    pub namespace: String,

    /// The file that stands in for the database of all nodes [default: a file of the namespace's name in the temporary
    /// folder].
    #[arg(long, value_name = "FILE", requires = "node")]
    pub table: Option<PathBuf>,
}

impl Args {
    /// The file that stands in for the database.
    pub fn table(&self) -> PathBuf {
        let default = || std::env::temp_dir().join(format!("cachesync-{}.json", self.namespace));
        self.table.clone().unwrap_or_else(default)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_node_needs_a_broker_and_only_a_node_needs_a_table() {
        let parse = |args: &[&str]| Args::try_parse_from([&["cluster"], args].concat());
        assert!(parse(&["--node", "alice"]).unwrap_err().to_string().contains("--amqp <URL>"));
        assert!(parse(&["--table", "users.json"]).is_err());
        let args = parse(&["--node", "alice", "--amqp", "amqp://localhost"]).unwrap();
        assert!(args.table().ends_with("cachesync-example.json"));
    }
}
