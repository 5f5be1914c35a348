#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

async fn tenant() -> u64 { 1 }

#[cacheable(cache = "users", key = (tenant().await, id))]
fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
