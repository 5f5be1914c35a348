#![allow(unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", all, key = id)]
async fn key(id: u64) {}

#[cache_evict(cache = "users", all, skip(id))]
async fn skip(id: u64) {}

fn main() {}
