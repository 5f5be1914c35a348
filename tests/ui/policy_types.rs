#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

struct Failure;

#[cacheable(cache = "users", cache_none)]
async fn none(id: u64) -> Result<u64, String> { Ok(id) }

#[cacheable(cache = "users", cache_err = |_| true)]
async fn no_error(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", cache_err = |_| true)]
async fn error(id: u64) -> Result<u64, Failure> { Ok(id) }

#[cacheable(cache = "users", cache_err = |error| error.len())]
async fn judge(id: u64) -> Result<u64, String> { Ok(id) }

#[cacheable(cache = "users", condition = id, unless = result)]
async fn conditions(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", ttl = id)]
async fn ttl(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", ttl = |value| value + 1)]
async fn ttl_of(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", tags = [Some(id)])]
async fn tag(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", tags = id)]
async fn tags(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", keys = id)]
async fn keys(id: u64) {}

#[cache_evict(cache = "users", all, transaction = id)]
async fn transaction(id: u64) {}

fn main() {}
