#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

async fn load(id: u64) -> u64 { id }

#[cacheable(cache = "users")]
fn find(id: u64) -> u64 { load(id).await }

fn main() {}
