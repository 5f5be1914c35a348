//! A node: one running copy of the service.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use cachesync::{
    CacheConfig, CacheStats, Committed, Registry, Status, Transaction, amqp::AmqpBackend, memory::MemoryBackend,
};

use crate::{
    table::{Table, TableTransaction, User},
    users::Users,
};

/// What carries the evictions of a cluster.
#[derive(Debug, Clone)]
pub enum Transport {
    /// A hub in this process.
    Memory(MemoryBackend),
    /// A RabbitMQ broker.
    Amqp(Box<AmqpBackend>),
}

/// A service with its own caches, over a table that it shares with the others.
#[derive(Debug)]
pub struct Node {
    name: String,
    table: Table,
    users: Users,
    caches: Registry,
}

impl Node {
    /// Starts a node: its registry, then what uses it.
    pub async fn start(name: &str, namespace: &str, transport: Transport, table: Table) -> Result<Self> {
        let users = CacheConfig::new("users").capacity(10_000).ttl(Duration::from_mins(10));
        let builder = Registry::builder().namespace(namespace).node_name(name).cache(users);
        let builder = match transport {
            Transport::Memory(hub) => builder.backend(hub),
            Transport::Amqp(broker) => builder.backend(*broker),
        };
        let caches = builder.start().await.with_context(|| format!("{name} cannot start"))?;
        Ok(Self { name: name.to_owned(), table, users: Users::new(caches.clone()), caches })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds a user, outside of any transaction.
    pub async fn find(&self, id: u64) -> Result<Found> {
        self.watch(self.users.find(&self.table, id)).await
    }

    /// Begins to write.
    pub fn begin(&self) -> Work<'_> {
        Work { node: self, rows: self.table.begin(), evictions: Transaction::begin() }
    }

    /// What its cache has counted.
    pub fn stats(&self) -> CacheStats {
        self.caches.stats().caches["users"]
    }

    /// How it gets on with the others.
    pub fn status(&self) -> Status {
        self.caches.status()
    }

    /// Ends it; evictions that wait for the broker go out first.
    pub async fn shutdown(&self) -> Result<()> {
        self.caches.shutdown().await.with_context(|| format!("{} ended too early", self.name))
    }

    /// Finds out how a lookup was answered, as long as it is the only one.
    async fn watch(&self, lookup: impl Future<Output = Result<Option<Arc<User>>>>) -> Result<Found> {
        let loads = self.stats().loads;
        let began = Instant::now();
        let user = lookup.await?;
        let took = began.elapsed();
        let source = if self.stats().loads == loads { Source::Hit } else { Source::Load };
        Ok(Found { user, source, took })
    }
}

/// How a lookup was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the node's memory.
    Hit,
    /// From the table.
    Load,
}

/// The answer to a lookup.
#[derive(Debug)]
pub struct Found {
    /// The user, if there is one.
    pub user: Option<Arc<User>>,
    /// Where it came from.
    pub source: Source,
    /// How long that took.
    pub took: Duration,
}

/// A unit of work: a transaction of the table, and the evictions that wait for its commit.
///
/// Dropping it rolls back both.
#[derive(Debug)]
#[must_use = "dropping it rolls it back"]
pub struct Work<'a> {
    node: &'a Node,
    rows: TableTransaction,
    evictions: Transaction,
}

impl Work<'_> {
    /// Finds a user as the transaction sees it: its own writes included.
    pub async fn find(&self, id: u64) -> Result<Found> {
        self.node.watch(self.evictions.scope(self.node.users.find(&self.rows, id))).await
    }

    /// Writes a user.
    pub async fn save(&mut self, user: User) -> Result<()> {
        self.evictions.scope(self.node.users.save(&mut self.rows, user)).await
    }

    /// Deletes a user.
    pub async fn delete(&mut self, id: u64) -> Result<()> {
        self.evictions.scope(self.node.users.delete(&mut self.rows, id)).await
    }

    /// How many rows it has written.
    pub fn changes(&self) -> usize {
        self.rows.changes()
    }

    /// Commits the table, then evicts: here at once, on the other nodes as soon as the broker has told them.
    pub async fn commit(self) -> Result<Committed> {
        self.evictions.commit_with(self.rows.commit()).await
    }
}
