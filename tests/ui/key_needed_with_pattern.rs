#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn find((tenant, id): (u32, u64)) -> Option<u64> { Some(id) }

#[cacheable(cache = "users")]
async fn unnamed(_: u32, id: u64) -> Option<u64> { Some(id) }

fn main() {}
