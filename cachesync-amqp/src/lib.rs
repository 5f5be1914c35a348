#![doc = include_str!("../README.md")]
//!
//! # How a session is laid out on the broker
//!
//! | what | name | properties |
//! |---|---|---|
//! | exchange | `cachesync`, see [`AmqpBackend::exchange`] | topic, durable |
//! | routing key of an eviction | `<namespace>.<cache>` | |
//! | routing key of a heartbeat | `<namespace>.~heartbeat.<node id>` | published as mandatory |
//! | queue of a session | `cachesync.<namespace>.<node name>.<random>` | classic, exclusive, auto-delete, new at each attempt |
//!
//! Messages are transient and confirmed by the broker; they are acknowledged after they were applied.
//!
//! | module | holds |
//! |---|---|
//! | `backend` | [`AmqpBackend`], its options and their limits |
//! | `url` | the broker's address, without showing its password |
//! | `names` | exchanges, routing keys, queues |
//! | `connect` | how a session is opened, step by step, in bounded time |
//! | `stream`, `screen` | what lapin reads, and what it must not be given |
//! | `link` | the connection of a session, and how it ends |
//! | `publisher`, `subscriber` | the two halves of a session |
//! | `error` | what lapin and RabbitMQ report, as an error that says what to do |

mod backend;
mod connect;
mod error;
mod link;
mod names;
mod publisher;
mod screen;
mod stream;
mod subscriber;
#[cfg(feature = "rustls")]
mod tls;
mod url;

pub use backend::AmqpBackend;
