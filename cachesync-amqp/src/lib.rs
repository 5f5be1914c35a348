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
//! | or the stream of a namespace | `cachesync.<namespace>.<exchange>.stream`, see [`Stream`] | durable, bound to `<namespace>.#`, and to marks by themselves |
//! | queue of a node that makes the stream | the stream's name and `.~turn` | classic, exclusive, for the moment that it takes |
//! | notes of a session in its stream | `<namespace>.~probe.stream`, `<namespace>.~stream.mark` | when it begins; without a body |
//!
//! Messages are confirmed by the broker, and acknowledged after they were applied. For queues they are transient; a stream
//! writes all that it gets.
//!
//! | module | holds |
//! |---|---|
//! | `backend` | [`AmqpBackend`], its options and their limits |
//! | `brokers` | the brokers of a cluster, and in what order they are asked for a session |
//! | `url` | a broker's address, without showing its password |
//! | `names` | exchanges, routing keys, queues |
//! | `connect` | how a session is opened, step by step, in bounded time |
//! | `wire`, `screen` | what lapin reads, and what it must not be given |
//! | `link` | the connection of a session, and how it ends |
//! | `publisher` | the sending half of a session |
//! | `intake` | what the broker sends to a session, and its acknowledgement |
//! | `queue` | a session on a queue of its own |
//! | `stream` | a session on the stream of its namespace: [`Stream`], its options |
//! | `stream/attach` | how such a session is opened, and resumes |
//! | `stream/trail` | by what a place in a stream is known again |
//! | `stream/subscriber` | what of a stream is for this node |
//! | `error` | what lapin and RabbitMQ report, as an error that says what to do |

mod backend;
mod brokers;
mod connect;
mod error;
mod intake;
mod link;
mod names;
mod publisher;
mod queue;
mod screen;
mod stream;
#[cfg(feature = "rustls")]
mod tls;
mod url;
mod wire;

pub use backend::AmqpBackend;
pub use stream::Stream;
