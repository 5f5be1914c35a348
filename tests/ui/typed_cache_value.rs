#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::{cache_put, cacheable};

cachesync::cache! { USERS: "users" => (u64, String); }

#[cacheable(cache = USERS)]
async fn loads(id: u64) -> Result<u64, String> { Ok(id) }

#[cache_put(cache = USERS)]
async fn puts(id: u64) -> Option<u32> { None }

#[cacheable(cache = USERS, keys = ids)]
async fn batch(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
