#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cahce = "users", key = idd, key = id, tll = 5, skip(db))]
fn find(db: &str, id: u64) -> impl Clone { id }

#[cache_evict(cache = "us ers", before, always, all, key = id)]
async fn save(id: u64) {}

fn main() {}
