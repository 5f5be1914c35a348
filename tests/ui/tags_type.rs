#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = id, tags = team)]
async fn find(id: u64, team: &str) -> Option<u64> { Some(id) }

fn main() {}
