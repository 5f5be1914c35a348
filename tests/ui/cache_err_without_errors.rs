#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", cache_err = |_| true)]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
