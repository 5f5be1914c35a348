#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", err_ttl = std::time::Duration::from_secs(60))]
async fn find(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}
