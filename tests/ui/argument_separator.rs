#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users" key = id)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = id id)]
async fn twice(id: u64) -> Option<u64> { Some(id) }

fn main() {}
