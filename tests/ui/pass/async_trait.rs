//! Beside `#[async_trait]`, which turns methods into functions that return boxed futures before they are expanded.

#![deny(warnings, clippy::pedantic)]
#![allow(dead_code)]

use std::sync::Arc;

use async_trait::async_trait;
use cachesync::{Registry, cache_config, cache_evict, cache_put, cacheable};

#[derive(Clone)]
struct User {
    id: u64,
    name: String,
}

struct Users {
    tenant: u32,
    registry: Registry,
}

#[async_trait]
trait Repository: Sync {
    async fn find(&self, id: u64) -> Result<Option<Arc<User>>, String>;

    async fn save(&mut self, user: User) -> Result<User, String>;

    async fn remove(&self, user: &User, name: &str) -> Result<(), String>;

    #[cacheable(cache = "users", key = (id, name))]
    async fn provided(&self, id: u64, name: &str) -> Option<u64> {
        std::future::ready(()).await;
        Some(id + name.len() as u64)
    }
}

#[async_trait]
impl Repository for Users {
    #[cacheable(cache = "users", key = (self.tenant, id), registry = self.registry, cache_none, unless = result.id == id)]
    async fn find(&self, id: u64) -> Result<Option<Arc<User>>, String> {
        std::future::ready(()).await;
        Ok(Some(Arc::new(User { id, name: self.tenant.to_string() })))
    }

    #[cache_put(cache = "users", key = (self.tenant, user.id), tags = [&result.name])]
    #[cache_evict(cache = "names", all)]
    async fn save(&mut self, user: User) -> Result<User, String> {
        self.tenant += 1;
        Ok(user)
    }

    #[cache_evict(cache = "users", key = (self.tenant, user.id), unless = name.is_empty())]
    async fn remove(&self, user: &User, name: &str) -> Result<(), String> {
        if user.id == 0 {
            return Err(name.to_owned());
        }
        Ok(())
    }
}

struct Defaults(Registry);

#[cache_config(cache = "users", registry = self.0)]
#[async_trait]
impl Repository for Defaults {
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Result<Option<Arc<User>>, String> {
        Ok(Some(Arc::new(User { id, name: String::new() })))
    }

    #[cache_evict(key = result.id)]
    async fn save(&mut self, user: User) -> Result<User, String> {
        Ok(user)
    }

    #[cache_evict(keys = [user.id])]
    async fn remove(&self, user: &User, _: &str) -> Result<(), String> {
        _ = user;
        Ok(())
    }
}

struct Inner(Registry);

#[async_trait]
#[cache_config(cache = "users", registry = self.0)]
impl Repository for Inner {
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Result<Option<Arc<User>>, String> {
        Ok(Some(Arc::new(User { id, name: String::new() })))
    }

    #[cache_evict(key = user.id)]
    async fn save(&mut self, user: User) -> Result<User, String> {
        Ok(user)
    }

    async fn remove(&self, user: &User, _: &str) -> Result<(), String> {
        _ = user;
        Ok(())
    }
}

fn main() {}
