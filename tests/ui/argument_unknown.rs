#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", ttl = 60)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", ttl = 60)]
async fn save(id: u64) {}

fn main() {}
