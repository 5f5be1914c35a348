#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
async fn semicolon(id: u64) -> Option<u64> {
    Some(id);
}

#[cache_evict(cache = "users", before)]
fn empty(id: u64) -> Option<u64> {}

fn main() {}
