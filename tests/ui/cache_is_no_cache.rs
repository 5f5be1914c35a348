#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

const NAME: &str = "users";
static NUMBER: u32 = 7;

#[cacheable(cache = NAME)]
async fn constant(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = [NUMBER, "users"], all)]
async fn number() {}

fn main() {}
