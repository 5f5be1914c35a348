#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = id)]
async fn parameter<T: Clone>(id: T) -> Option<u64> { None }

#[cacheable(cache = "users", key = id)]
async fn opaque(id: impl AsRef<str>) -> Option<u64> { None }

fn main() {}
