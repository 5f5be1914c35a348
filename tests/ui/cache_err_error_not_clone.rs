#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

struct Failure;

#[cacheable(cache = "users", cache_err = |_| true)]
async fn find(id: u64) -> Result<u64, Failure> { Ok(id) }

fn main() {}
