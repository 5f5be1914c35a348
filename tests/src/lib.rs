//! What the tests of the workspace share: brokers, a network that can be broken, waiting.
//!
//! | module | holds |
//! |---|---|
//! | [`broker`] | [`Broker`](broker::Broker): a private RabbitMQ node that can be killed, stopped and restarted |
//! | [`counting`] | [`CountingBackend`](counting::CountingBackend): the memory backend, counting messages |
//! | [`faulty`] | [`FaultyBackend`](faulty::FaultyBackend): the memory backend, going wrong when told to |
//! | [`flood`] | [`Flood`](flood::Flood): messages of every kind that mean no good, at full speed |
//! | [`gate`] | [`Gate`](gate::Gate): a stop in the middle of a load |
//! | [`patient`] | backends and registries that a machine that stands still for a while costs nothing |
//! | [`properties`] | what holds of any bytes that come from outside; the fuzz targets ask for it, too |
//! | [`proxy`] | [`Proxy`](proxy::Proxy): a TCP link that can be cut or stalled |
//! | [`stranger`] | [`Stranger`](stranger::Stranger): a program that publishes what no client library would |
//! | [`wait`] | [`eventually`](wait::eventually): waits for a condition and never just for time to pass |

#![allow(clippy::missing_panics_doc, reason = "a fixture that cannot do its work fails the test that asked for it")]

pub mod broker;
pub mod counting;
pub mod faulty;
pub mod flood;
pub mod gate;
pub mod patient;
pub mod properties;
pub mod proxy;
pub mod stranger;
pub mod wait;
