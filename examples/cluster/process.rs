//! The example `cluster`, as a binary that tests can start.

use std::process::ExitCode;

fn main() -> ExitCode {
    cachesync_examples::main()
}
