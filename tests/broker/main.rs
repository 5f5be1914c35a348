//! The RabbitMQ backend against a real broker, beyond what every backend must do: what it says when it cannot connect,
//! how it notices a lost session, what stands on the wire, and what it leaves behind.
//!
//! Tests that break a broker start one of their own; the others share one.

mod cleanup;
mod losses;
mod messages;
mod refusals;
mod session;
mod stream_making;
mod streams;
mod tls;
