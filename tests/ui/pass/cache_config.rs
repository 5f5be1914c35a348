//! Defaults for the functions of a block, without a warning.

#![deny(warnings, clippy::pedantic)]
#![allow(dead_code, clippy::unused_async, clippy::unnecessary_wraps, clippy::unused_self)]

use std::{future::Future, pin::Pin, time::Duration};

use cachesync::{Registry, cache_config, cache_evict, cache_put, cacheable};

#[derive(Clone)]
struct User {
    id: u64,
}

trait Database: Sync {
    type Row: Clone + Send + Sync + 'static;

    fn row(&self, id: u64) -> Option<Self::Row>;
}

struct Users<Db, const N: usize> {
    db: Db,
    registry: Registry,
}

#[cache_config(cache = "users", registry = self.registry, ttl = Duration::from_secs(30), requires_transaction)]
impl<Db: Database, const N: usize> Users<Db, N>
where
    Db: Send,
{
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Option<Db::Row> {
        self.db.row(id)
    }

    /// What a function says itself goes before what is said for all.
    #[cachesync::cacheable(key = id, cache = ["names", "users"], registry = &self.registry, ttl = |name| Duration::from_secs(name.len() as u64))]
    fn name(&self, id: u64) -> Result<String, String> {
        Ok(format!("{id}{N}"))
    }

    #[cacheable(key = id, cache_value)]
    async fn row(&self, id: u64) -> Db::Row {
        loop {
            if let Some(row) = self.db.row(id) {
                return row;
            }
        }
    }

    #[cfg_attr(all(), cache_evict(all))]
    #[cache_evict(key = result.id)]
    async fn save(&mut self, id: u64) -> Result<User, String> {
        Ok(User { id })
    }

    #[cache_put(key = id)]
    async fn put(&self, id: u64) -> User {
        User { id }
    }

    /// An associated function whose types say nothing of the block.
    #[cacheable(cache = "values", key = values.len(), registry = registry, ttl = Duration::ZERO)]
    async fn first(registry: &Registry, values: &[Db]) -> Option<u64> {
        _ = registry;
        values.first()?.row(1).map(|_| 1)
    }

    fn other(&self) -> usize {
        N
    }
}

#[cache_config(cache = "sources", ttl = |_| Duration::from_secs(1))]
trait Source: Sync {
    fn tenant(&self) -> u32;

    #[cacheable(key = (self.tenant(), id))]
    async fn load(&self, id: u64) -> Option<u64> {
        Some(id)
    }

    #[cache_evict(key = (self.tenant(), id))]
    fn boxed(&self, id: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { assert!(id > 0) })
    }
}

#[cache_config(cache = "users")]
impl User {
    #[cacheable(key = id)]
    async fn itself(id: u64) -> Option<Self> {
        Some(Self { id })
    }

    /// One letter is no type parameter of this block.
    #[cacheable(cache = "letters", key = id)]
    async fn letter(id: u64) -> T {
        T(id)
    }
}

#[derive(Clone)]
struct T(u64);

fn main() {}
