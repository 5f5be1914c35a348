#![allow(unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", key = result.id, before)]
async fn save(id: u64) -> Result<u64, ()> { Ok(id) }

fn main() {}
