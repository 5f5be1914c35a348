//! What the measurements over a broker share. Each program of this package measures its subjects and their baselines in
//! one run, alternately, and prints one [`Row`](cachesync_benches_report::row::Row) for each as a line of JSON.
//!
//! | program | measures |
//! |---|---|
//! | `broadcast` | 50,000 evictions on one node, applied on 1, 4 and 16 others |
//! | `latency` | from one commit to its eviction on another node |
//! | `team` | 30 caches, 90,000 reads a second of each, while 200 evictions a second come from another node |
//! | `nodes` | messages at 10, 100 and 1,000 nodes; no broker, and no clock |
//!
//! Absolute times differ from machine to machine, and on one machine from minute to minute. So what counts is the median
//! of the ratios of neighbours in time.

#![allow(clippy::missing_panics_doc, reason = "a measurement that cannot go on ends its program")]

pub mod hops;
pub mod raw;
pub mod redis;
