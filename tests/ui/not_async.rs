#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
fn find(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users")]
fn boxed(id: u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(async {}) }

fn main() {}
