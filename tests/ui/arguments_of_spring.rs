#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(value = "users", keyGenerator = "x", sync = true)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cacheNames = ["users", "all"], allEntries = true, beforeInvocation = true)]
async fn evict(id: u64) {}

fn main() {}
