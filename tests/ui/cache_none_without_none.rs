#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", cache_none)]
async fn result(id: u64) -> Result<u64, String> { Ok(id) }

#[cacheable(cache = "users", cache_none)]
async fn plain(id: u64) -> u64 { id }

fn main() {}
