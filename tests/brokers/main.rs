//! Registries over a cluster of RabbitMQ nodes: sessions move when a node dies, and nothing is served for longer than
//! rule R6 allows when the cluster splits.
//!
//! One cluster serves all tests, one after the other, since it takes long to start.

mod failover;
mod ignored;
mod service;
mod split;
