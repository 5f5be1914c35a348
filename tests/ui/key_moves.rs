#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = name.into_bytes())]
async fn find(name: String) -> Option<usize> { Some(name.len()) }

fn main() {}
