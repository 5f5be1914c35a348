#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cache_put, cacheable};

#[cacheable(cache = "users", all, requires_transaction)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cache_put(cache = "users", before, cache_err = |_| true)]
async fn put(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", ttl = 60)]
async fn save(id: u64) {}

fn main() {}
