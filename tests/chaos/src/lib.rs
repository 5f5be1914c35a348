//! Chaos: nodes that are processes of their own, a RabbitMQ that is killed, frozen and emptied, links that are cut in the
//! middle of a frame, and a database; and a checker that holds what they wrote down against the rules.
//!
//! A seed decides the plan, which faults in which order, and what each node does. What the machine makes of it is another
//! matter: two runs of one seed are alike and not the same, and a violation may need the command again to be seen again.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | what a seed means: which faults, when |
//! | [`run`] | carrying the plan out: the broker, the links, the nodes, and the audit at the end |
//! | [`faults`] | what goes wrong, and how it is made to |
//! | [`process`] | a node's process, as the driver sees it |
//! | [`node`], [`load`], [`writer`] | that process: a registry; who reads, and who writes |
//! | [`service`] | its annotated functions |
//! | [`database`] | the truth: a file of `SQLite`, and which transactions it has committed |
//! | [`event`], [`journal`] | what a process writes down, and in which form |
//! | [`checker`] | the merged journals, held against the rules |
//! | [`story`], [`trouble`] | what has happened last, to be told; which faults go on, and how long recovering takes |
//! | [`report`] | what came of it |
//! | [`outage`] | memory and queues while the broker stays away |
//!
//! The rules that are checked, by the letters of the simulation:
//!
//! | | |
//! |---|---|
//! | A | no read returns a value older than the newest whose eviction was confirmed a lease before the read began |
//! | B | when the faults are over and a lease has passed, what is cached is what the database says |
//! | C | no read that begins after a commit on the same node returns the old value |
//! | D | what is rolled back, or not committed, is read nowhere but in its own transaction, and there it is |
//! | live | when the faults are over every node hears the others again, and has nothing left to tell |
//!
//! **Why that is sound** although clocks are real: all processes of a machine share one monotonic clock, and each time that
//! counts against the library is taken on the side that excuses more. A read begins before it asks; an eviction is confirmed
//! when the node has heard that it is. Which versions are committed, and in which order, says the database itself.

#![allow(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "a part of a test, which fails by them")]

pub mod checker;
pub mod database;
pub mod event;
pub mod faults;
pub mod journal;
pub mod load;
pub mod node;
pub mod outage;
pub mod plan;
pub mod process;
pub mod report;
pub mod run;
pub mod service;
pub mod story;
pub mod trouble;
pub mod writer;

use std::time::Duration;

/// For how long a node serves its caches without news: short, so that many faults go beyond it.
pub const LEASE: Duration = Duration::from_secs(2);

/// How long the broker may take to confirm: three of these fit into the lease, as `start` demands.
pub const CONFIRM: Duration = Duration::from_millis(600);

/// How often a node sends itself a heartbeat.
pub const HEARTBEAT: Duration = Duration::from_millis(200);

/// For how long what is in doubt is held.
pub const SETTLE: Duration = Duration::from_secs(1);

/// How many nodes there are at a time.
pub const NODES: usize = 3;

/// How many rows the table has. The lower half is cached in `items`, the upper in `prices`.
pub const ROWS: u64 = 256;
