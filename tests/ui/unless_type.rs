#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", unless = result)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", unless = result)]
async fn save(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}
