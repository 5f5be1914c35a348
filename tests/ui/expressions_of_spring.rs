#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = "#id", condition = "#id > 3")]
async fn text(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", condition = #id > 3)]
async fn signs(id: u64) -> Option<u64> { Some(id) }

fn main() {}
