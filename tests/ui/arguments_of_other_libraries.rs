#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(value = "users", key = "#id", unless = "#result == null", sync = true)]
async fn spring(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cacheNames = ["users", "all"], condition = #id > 3, keyGenerator = "x")]
async fn spel(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", allEntries = true, beforeInvocation = true)]
async fn evict(id: u64) {}

#[cacheable(cache = "users", time = 60, size = 100, option = true, sync_writes = true, convert = r#"{ id }"#)]
async fn cached(id: u64) -> Option<u64> { Some(id) }

fn main() {}
