#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = id, skip(db))]
async fn find(db: &str, id: u64) -> Option<u64> { Some(id) }

fn main() {}
