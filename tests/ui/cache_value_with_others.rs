#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", cache_value, cache_none, cache_err = |error| true)]
async fn find(id: u64) -> Result<Option<u64>, String> { Ok(Some(id)) }

fn main() {}
