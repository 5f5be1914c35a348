#![allow(unused_variables)]

use std::num::ParseIntError;

use cachesync::{cache_evict, cacheable};

struct User { id: u64 }

#[cacheable(cache = "users", key = id.strip_prefix("u")?)]
async fn find(id: &str) -> Option<u64> { None }

#[cache_evict(cache = "users", key = id.checked_sub(1)?)]
async fn save(id: u64) -> Option<u64> { None }

#[cache_evict(cache = "users", key = result.as_ref()?.id)]
async fn create(name: &str) -> Option<User> { None }

#[cache_evict(cache = "users", key = if *id > 9 { return Ok(()) } else { id })]
async fn remove(id: &u64) -> Result<(), String> { Ok(()) }

#[cache_evict(cache = "names", key = format!("{}", id.parse::<u64>()?))]
async fn rename(id: &str) -> Result<(), ParseIntError> { Ok(()) }

fn main() {}
