#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", ttl = 60)]
async fn whole(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", ttl = 0.5)]
async fn fraction(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", cache_none, none_ttl = 5s)]
async fn with_unit(id: u64) -> Option<u64> { Some(id) }

fn main() {}
