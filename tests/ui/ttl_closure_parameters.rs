#![allow(dead_code, unused_variables)]

use std::time::Duration;

use cachesync::cacheable;

#[cacheable(cache = "users", ttl = |user, id| Duration::ZERO)]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
