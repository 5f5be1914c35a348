#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
async fn find(id: u64) -> impl Clone { id }

#[cache_evict(cache = "users")]
async fn save(id: u64) -> Result<impl Clone, ()> { Ok(id) }

fn main() {}
