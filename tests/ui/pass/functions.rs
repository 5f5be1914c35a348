//! The kinds of functions that can be annotated, without a warning.

#![deny(warnings, clippy::pedantic)]
#![allow(dead_code, clippy::unused_async)]

use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc};

use cachesync::{Registry, cache_evict, cacheable};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Id(u64);

struct User {
    id: Id,
    name: String,
}

trait Database {
    type Error;

    async fn select(&self, id: &Id) -> Result<User, Self::Error>;
}

/// Lifetimes, types, constants and `where`.
#[cacheable(cache = "users", key = (id, N, name))]
async fn generic<'a, 'b: 'a, Db, const N: usize>(db: &'a Db, id: &'b Id, name: &'a str) -> Result<Arc<User>, Db::Error>
where
    Db: Database,
    Db::Error: Send + Sync + 'static,
{
    debug_assert!(!name.is_empty());
    Ok(Arc::new(db.select(id).await?))
}

/// `impl Trait` in a parameter, outside of the key and within.
#[cacheable(cache = "numbers", key = id)]
async fn argument(db: impl Debug, id: impl Hash + Eq + Serialize + for<'d> Deserialize<'d> + Send + Sync + Copy + 'static) -> Option<u64> {
    Some(format!("{db:?}").len() as u64).filter(|_| size_of_val(&id) > 0)
}

/// Patterns; `mut`; names that need `r#`.
#[cacheable(cache = "numbers", key = (id, r#type, number))]
async fn patterns(User { id, name }: &User, (mut number, _): (u64, u64), r#type: u8) -> Option<u64> {
    number += id.0 + u64::from(r#type);
    Some(number + name.len() as u64)
}

/// A key that makes use of blocks, closures and macros.
#[cacheable(cache = "texts", key = { let mut ids = ids.iter().map(|id| id.0).collect::<Vec<_>>(); ids.sort_unstable(); format!("{ids:?}{prefix}") })]
async fn expression(ids: &[Id], prefix: &str) -> Option<String> {
    Some(format!("{prefix}{}", ids.len()))
}

/// The body's own attributes, items and control flow.
#[cacheable(cache = "numbers")]
async fn body(id: u64) -> Result<u64, String> {
    #![allow(clippy::cast_possible_truncation)]
    const LIMIT: u64 = 10;
    fn checked(id: u64) -> Result<u64, String> {
        if id > LIMIT { Err("too large".to_owned()) } else { Ok(id) }
    }
    let id = 'search: {
        for candidate in 0..id {
            if candidate as u8 == 3 {
                break 'search candidate;
            }
        }
        return Err(String::from("none"));
    };
    checked(id)
}

/// The last expression borrows from a local variable.
#[cacheable(cache = "numbers")]
async fn borrowing(id: u64) -> Option<usize> {
    let map = HashMap::from([(id, "text".to_owned())]);
    map.get(&id).map(String::len)
}

/// Attributes of the function stay; those in front and those behind.
#[must_use]
#[cacheable(cache = "numbers")]
#[inline]
async fn attributes(id: u64) -> Option<u64> {
    Some(id)
}

struct Users<Db> {
    db: Db,
    tenant: String,
    registry: Registry,
}

impl<Db: Database<Error: Send + Sync + 'static>> Users<Db> {
    #[cacheable(cache = "users", key = (&self.tenant, id), registry = self.registry)]
    async fn find(&self, id: &Id) -> Result<Arc<User>, Db::Error> {
        Ok(Arc::new(self.db.select(id).await?))
    }

    #[cacheable(cache = "users", skip(self), registry = &self.registry)]
    async fn skipped(&mut self, id: &Id) -> Result<Arc<User>, Db::Error> {
        self.tenant.clear();
        Ok(Arc::new(self.db.select(id).await?))
    }

    #[cache_evict(cache = "users", key = (&self.tenant, &user.id))]
    async fn save<'a>(&'a mut self, user: User) -> Result<&'a str, Db::Error> {
        self.db.select(&user.id).await?;
        Ok(&self.tenant)
    }

    #[cache_evict(cache = "users", key = self.tenant)]
    async fn consume(self) -> Result<Db, Db::Error> {
        self.db.select(&Id(1)).await?;
        Ok(self.db)
    }

    #[cacheable(cache = "users", key = self.tenant)]
    async fn shared(self: Arc<Self>) -> Option<String> {
        Some(self.tenant.clone())
    }

    /// An associated function of a generic `impl` whose types say nothing of it.
    #[cacheable(cache = "users", key = id, registry = registry)]
    async fn associated(registry: &Registry, db: &Db, id: &Id) -> Option<u64> {
        _ = registry;
        db.select(id).await.ok().map(|user| user.id.0)
    }

    /// One whose key does: to say `Self` tells that there is an `impl`.
    #[cacheable(cache = "users", key = size_of_val(db))]
    async fn says_self(db: &Db) -> Option<u64>
    where
        Self: Sized,
    {
        db.select(&Id(1)).await.ok().map(|user| user.id.0)
    }
}

impl<T: Clone + Send + Sync + 'static> Users<Vec<T>> {
    /// By convention, one capital letter is a type parameter.
    #[cacheable(cache = "values", cache_value, key = self.tenant)]
    async fn value(&self) -> T {
        self.db[0].clone()
    }

    #[cacheable(cache = "values", key = values.len())]
    async fn first(values: &[T]) -> Option<T> {
        values.first().cloned()
    }
}

trait Source {
    fn tenant(&self) -> u32;

    #[cacheable(cache = "sources", key = (self.tenant(), id))]
    async fn load(&self, id: u64) -> Option<u64> {
        Some(id)
    }
}

macro_rules! annotated {
    ($name:ident, $id:ident, $key:expr) => {
        #[cacheable(cache = "made", key = $key)]
        async fn $name($id: u64) -> Option<u64> {
            Some($id)
        }

        #[cache_evict(cache = "made")]
        async fn evict(id: u64) {
            assert!(id > 0);
        }
    };
}

mod made {
    use super::{cache_evict, cacheable};

    annotated!(make, id, id + 1);
}

#[cache_evict(cache = "users", all)]
async fn clear() {}

#[cache_evict(cache = "users", key = result.id)]
#[cacheable(cache = "by_name", skip(db))]
#[cache_evict(cache = "names", key = (name, &result.name), always)]
#[cache_evict(cache = "all", all, before)]
async fn stacked(db: &str, name: String) -> Result<Arc<User>, String> {
    let user = User { id: Id(db.len() as u64), name: name.clone() };
    Ok(Arc::new(user))
}

fn main() {}
