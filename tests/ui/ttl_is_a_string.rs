#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", ttl = "5m")]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
