#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", ttl = |value| value + 1)]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
