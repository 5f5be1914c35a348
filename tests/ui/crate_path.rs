#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", crate = "cachesync")]
async fn literal(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", crate = no::such)]
async fn unknown(id: u64) -> Option<u64> { Some(id) }

fn main() {}
