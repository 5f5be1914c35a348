#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cache_evict(cache = users)]
async fn word(id: u64) {}

#[cacheable("users")]
async fn position(id: u64) -> Option<u64> { Some(id) }

fn main() {}
