#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cahce = "users")]
async fn cahce(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", kye = id)]
async fn kye(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", allways)]
async fn allways(id: u64) {}

fn main() {}
