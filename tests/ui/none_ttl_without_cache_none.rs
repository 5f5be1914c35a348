#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", none_ttl = std::time::Duration::from_secs(60))]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
