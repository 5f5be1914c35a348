//! Where the tests' RabbitMQ comes from.

use std::{env, path::Path};

use anyhow::Result;

use crate::packages::{self, on_path};

/// Where Debian's package puts its scripts; the tests run nodes from there.
const DEBIAN_SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const INSTRUCTIONS: &str = "some tests need RabbitMQ, which is not installed and cannot be installed from here; do one of\n  \
    - `apt-get install rabbitmq-server` as root (Debian, Ubuntu), or your system's package of RabbitMQ\n  \
    - set CACHESYNC_AMQP_URL to a broker's URL, such as amqp://guest:guest@localhost (tests that kill a broker will fail)";

/// Makes sure that the tests find a RabbitMQ, see `cargo xtask help test`.
pub(crate) fn provide() -> Result<()> {
    // It may hold a password, so it is not shown.
    if env::var_os("CACHESYNC_AMQP_URL").is_some_and(|url| !url.is_empty()) {
        if !is_installed() {
            eprintln!("note: rabbitmq-server is not installed; tests that kill a broker will fail");
        }
        return Ok(());
    }
    provide_own(INSTRUCTIONS)
}

/// Makes sure that private nodes can be started, whatever other broker there is; else says what to do.
pub(crate) fn provide_own(instructions: &'static str) -> Result<()> {
    packages::provide("rabbitmq-server", is_installed, instructions)
}

fn is_installed() -> bool {
    Path::new(DEBIAN_SCRIPT).is_file() || on_path("rabbitmq-server")
}
