#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = result.id)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = format!("{result}"))]
async fn in_a_macro(id: u64) -> Option<u64> { Some(id) }

fn main() {}
