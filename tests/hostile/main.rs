//! What comes from outside and means no good: bytes to the decoders, messages to a node, a flood of them.
//!
//! | module | holds |
//! |---|---|
//! | [`corpus`] | what the fuzz targets have found worth keeping, and how much memory it takes |
//! | [`drawn`] | frames, keys and JSON that are drawn, and then broken |
//! | [`messages`] | each kind of bad message, over RabbitMQ: counted, cleared, survived |
//! | [`flood`] | all kinds of them at full speed |
//! | [`timeouts`] | a broker that is silent, stopped, or short of memory: everything ends in time |

mod corpus;
mod drawn;
mod flood;
mod messages;
mod nodes;
mod timeouts;
