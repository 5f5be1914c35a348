#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

fn is_gone(error: String) -> bool { true }

#[cacheable(cache = "users", cache_err = is_gone)]
async fn takes(id: u64) -> Result<u64, String> { Ok(id) }

#[cacheable(cache = "users", cache_err = |error| error.len())]
async fn returns(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}
