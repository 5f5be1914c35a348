#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = ids.iter().map(|id| id + 1).collect())]
async fn collect(ids: &[u64]) -> Option<u64> { None }

fn main() {}
