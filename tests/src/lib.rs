//! What the tests of the workspace share: brokers, a network that can be broken, waiting.
//!
//! | module | holds |
//! |---|---|
//! | [`broker`] | [`Broker`](broker::Broker): a private RabbitMQ node that can be killed, stopped and restarted |
//! | [`faulty`] | [`FaultyBackend`](faulty::FaultyBackend): the memory backend, going wrong when told to |
//! | [`gate`] | [`Gate`](gate::Gate): a stop in the middle of a load |
//! | [`proxy`] | [`Proxy`](proxy::Proxy): a TCP link that can be cut or stalled |
//! | [`wait`] | [`eventually`](wait::eventually): waits for a condition and never just for time to pass |

#![allow(clippy::missing_panics_doc, reason = "a fixture that cannot do its work fails the test that asked for it")]

pub mod broker;
pub mod faulty;
pub mod gate;
pub mod proxy;
pub mod wait;
