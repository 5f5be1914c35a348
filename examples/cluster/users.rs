//! The repository: what a service annotates.

use std::sync::Arc;

use anyhow::Result;
use cachesync::{Registry, cache_evict, cacheable};

use crate::table::{Connection, TableTransaction, User};

/// Reads users through a cache and writes them past it.
///
/// Its methods name their registry, so it makes no difference on which task they run, and several nodes fit into one
/// process. The values are `Arc`s: a hit clones the pointer.
#[derive(Debug)]
pub struct Users {
    caches: Registry,
}

impl Users {
    /// A repository that keeps what it reads in the cache `users` of this registry.
    pub fn new(caches: Registry) -> Self {
        Self { caches }
    }

    /// Finds a user; the body runs only if the user is not cached. A user that does not exist is not cached either.
    #[cacheable(cache = "users", key = id, registry = self.caches)]
    pub async fn find(&self, db: &impl Connection, id: u64) -> Result<Option<Arc<User>>> {
        Ok(db.select(id).await?.map(Arc::new))
    }

    /// Creates or changes a user; evicted on every node, after the commit.
    #[cache_evict(cache = "users", key = user.id, registry = self.caches)]
    pub async fn save(&self, db: &mut TableTransaction, user: User) -> Result<()> {
        db.upsert(user).await
    }

    /// Deletes a user; evicted on every node, after the commit.
    #[cache_evict(cache = "users", key = id, registry = self.caches)]
    pub async fn delete(&self, db: &mut TableTransaction, id: u64) -> Result<()> {
        db.delete(id).await
    }
}
