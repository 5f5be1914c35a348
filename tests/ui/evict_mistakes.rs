#![allow(unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", keys = ids, key = id, tag = id)]
async fn ways(id: u64, ids: &[u64]) {}

#[cache_evict(cache = "users", key = id, before, unless = result.is_err())]
async fn before(id: u64) -> Result<(), String> { Ok(()) }

#[cache_evict(cache = "users", tags = ["all"])]
async fn tags(id: u64) {}

#[cache_evict(cache = "users", keys = [])]
async fn empty(id: u64) {}

#[cache_evict(cache = "users", tag = |user| user.id)]
async fn closure(id: u64) {}

fn main() {}
