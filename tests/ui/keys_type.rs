#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", keys = id)]
async fn number(id: u64) {}

#[cache_evict(cache = "users", keys = name)]
async fn text(name: &str) {}

fn main() {}
