#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn find(id: u64) -> Option<u64> { let = ; Some(id) }

fn main() {}
