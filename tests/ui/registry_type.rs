#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = id, registry = id)]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
