#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", key = (1u8, names))]
async fn explicit(names: &[&str]) -> Option<u64> { None }

#[cache_evict(cache = "users")]
async fn default(names: Vec<&str>) {}

fn main() {}
