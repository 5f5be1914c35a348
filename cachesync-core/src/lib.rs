//! The contract between cachesync and the transports that carry its evictions.
//!
//! Applications depend on the `cachesync` crate alone. This crate is for those who write a backend: implement
//! [`Backend::connect`], which opens one [`Session`], and nothing else. Reconnecting, the outbox, heartbeats and
//! the clearing of caches after lost messages are written once, in cachesync's engine; a session that ends is the
//! only failure that the engine has to understand.
//!
//! | module | holds |
//! |---|---|
//! | [`backend`] | [`Backend`], [`Session`], [`Publisher`], [`Subscriber`], and what travels through them |
//! | [`frame`] | [`Frame`](frame::Frame): one message between nodes, and its [`Operation`](frame::Operation)s |
//! | [`codec`] | frames, keys and JSON evictions to bytes and back; the only place that knows bincode |
//! | [`mac`] | shared keys, and proof that a holder of one made a message; backends need not know |
//! | [`shape`] | [`KeyShape`](shape::KeyShape): the structure of a key type as serde sees it |
//! | [`name`] | [`Name`]: the valid names of caches and namespaces |

pub mod backend;
pub mod codec;
mod encoded_key;
pub mod frame;
pub mod mac;
pub mod name;
pub mod shape;

pub use backend::{Backend, BackendError, BackendErrorKind, BoxFuture, Publisher, Session, Subscriber};
pub use name::{InvalidName, Name};
