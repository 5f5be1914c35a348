//! A cluster of nodes with coherent caches; `--help` says what it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    cachesync_examples::main()
}
