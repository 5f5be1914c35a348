#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", keys = [])]
async fn save(id: u64) {}

fn main() {}
