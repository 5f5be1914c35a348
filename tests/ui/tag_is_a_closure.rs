#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", tag = |user| user.id)]
async fn save(id: u64) {}

fn main() {}
