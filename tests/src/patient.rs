//! Backends and registries for tests that are not about time: a machine that is slow, or stands still for a while, costs them
//! no session, and so nothing of what they have cached, heard or counted.

use std::time::Duration;

use cachesync::{RegistryBuilder, amqp::AmqpBackend};

use crate::wait::DEADLINE;

/// For how long a patient registry serves without a heartbeat: three times what its backend waits for a confirmation, as it
/// has to be, and not more than half the window of signed messages.
pub const LEASE: Duration = Duration::from_mins(2);

/// A backend for the broker at this URL that waits for each step as long as a test does.
pub fn backend(url: &str) -> AmqpBackend {
    let backend = AmqpBackend::new(url).expect("a URL");
    backend.connect_timeout(DEADLINE / 2).publish_timeout(LEASE / 3).heartbeat(DEADLINE)
}

/// The registry with a lease that does not run out during a test, and a flush that is waited for as long as the test does.
pub fn registry(builder: RegistryBuilder) -> RegistryBuilder {
    builder.lease(LEASE).flush_timeout(DEADLINE)
}
