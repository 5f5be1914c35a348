#![allow(dead_code, unused_variables)]

use cachesync::cache_put;

#[cache_put(cache = "users", key = *result, cache_none)]
async fn save(id: u64) -> Option<u64> { Some(id) }

fn main() {}
