#![allow(dead_code, unused_variables)]

use cachesync::{cache_put, cacheable};

#[cacheable(cache = "users")]
#[cacheable(cache = "users")]
async fn twice(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users")]
#[cache_put(cache = "users")]
async fn load_and_put(id: u64) -> Option<u64> { Some(id) }

fn main() {}
