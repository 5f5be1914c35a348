#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", before, unless = result.is_err())]
async fn save(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}
