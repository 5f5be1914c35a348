#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cache_evict(cache = "users", all = true)]
async fn clear() {}

#[cacheable(cache = "users", cache_value(yes))]
async fn find(id: u64) -> u64 { id }

fn main() {}
