#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", keys = ids, key = id, tag = id)]
async fn save(id: u64, ids: &[u64]) {}

fn main() {}
