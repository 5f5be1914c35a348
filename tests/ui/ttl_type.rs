#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", ttl = 5 * 60)]
async fn product(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = id, ttl = seconds)]
async fn parameter(id: u64, seconds: u64) -> Option<u64> { Some(id) }

fn main() {}
