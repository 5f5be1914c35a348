#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = ["a", "b", "c", "d", "e", "f", "g", "h", "i"], all)]
async fn save(id: u64) {}

fn main() {}
