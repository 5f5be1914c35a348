#![allow(unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", before, always)]
async fn save(id: u64) {}

fn main() {}
