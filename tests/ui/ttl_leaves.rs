#![allow(dead_code, unused_variables)]

use std::time::Duration;

use cachesync::cacheable;

fn ttl(id: u64) -> Option<Duration> { None }

#[cacheable(cache = "users", ttl = ttl(id)?)]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
