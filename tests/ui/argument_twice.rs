#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", key = id, cache = "orders")]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", always, always)]
async fn save(id: u64) {}

fn main() {}
