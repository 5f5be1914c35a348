#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", all, transaction = "main")]
async fn text(id: u64) {}

#[cache_evict(cache = "users", all, transaction = id)]
async fn number(id: u64) {}

fn main() {}
