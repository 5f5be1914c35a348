#![allow(unused_variables)]

use std::time::Duration;

use cachesync::cacheable;

const TTL: Duration = Duration::from_secs(60);

#[cacheable(cache = "users", ttl = 60, none_ttl = "5m", err_ttl = TTL)]
async fn times(id: u64) -> Result<Option<u64>, String> { Ok(Some(id)) }

#[cacheable(cache = "users", ttl = |user, id| TTL, cache_err = true, unless = |user| user.old, tags = "all")]
async fn closures(id: u64) -> Result<u64, String> { Ok(id) }

#[cacheable(cache = "users", condition = result.is_some(), unless = idd > 3, tags = [], ttl = id.ttl()?)]
async fn names(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", cache_value, cache_none, cache_err = |error| true)]
async fn value(id: u64) -> Result<Option<u64>, String> { Ok(Some(id)) }

#[cacheable(cache = "users", requires_transaction, tag = "all", always)]
async fn others(id: u64) -> Option<u64> { Some(id) }

fn main() {}
