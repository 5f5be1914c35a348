#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn find(id: u64) -> Option<u64> { let x = id. }

fn main() {}
