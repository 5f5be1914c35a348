//! Who may do what over RabbitMQ, and what is never printed.
//!
//! | module | about |
//! |---|---|
//! | [`permissions`] | the least that a node needs, each part of it missing, and topic permissions |
//! | [`tenant`] | another user of the broker who may write to the exchange and read from it |
//! | [`redaction`] | a program that logs all there is, of which everything is searched for its secrets |

mod permissions;
mod redaction;
mod tenant;

use cachesync::{CacheConfig, Registry, RegistryBuilder, UnknownCaches};
use cachesync_tests::patient;

/// A node with the cache `users`.
fn node(url: &str, namespace: &str) -> RegistryBuilder {
    let builder = Registry::builder().namespace(namespace).node_name("node").cache(CacheConfig::new("users"));
    patient::registry(builder.unknown_caches(UnknownCaches::Bypass).backend(patient::backend(url)))
}
