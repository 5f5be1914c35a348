#![allow(dead_code, unused_variables)]

use std::time::Duration;

use cachesync::cacheable;

#[cacheable(cache = "users", err_ttl = Duration::from_secs(60))]
async fn find(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}
