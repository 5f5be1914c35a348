#![allow(unused_variables)]

use cachesync::{cache_evict, cache_put, cacheable};

cachesync::cache! { USERS: "users" => (u64, String); }

#[cacheable(cache = USERS, key = id)]
async fn key(id: u32) -> Option<String> { None }

#[cacheable(cache = USERS, key = id)]
async fn value(id: u64) -> Result<u64, String> { Ok(id) }

#[cache_put(cache = [USERS, "other"], key = (id, 1u8))]
async fn put(id: u64) -> String { String::new() }

#[cache_evict(cache = USERS, key = name)]
async fn evict(name: &str) {}

#[cache_evict(cache = USERS, keys = names)]
async fn evict_many(names: &[&str]) {}

#[cacheable(cache = NAMES)]
async fn unknown(id: u64) -> Option<String> { None }

fn main() {}
