#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

const USERS: &str = "users";

#[cacheable(cache = USERS)]
async fn by_constant(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = users)]
async fn by_word(id: u64) {}

#[cacheable("users")]
async fn by_position(id: u64) -> Option<u64> { Some(id) }

fn main() {}
