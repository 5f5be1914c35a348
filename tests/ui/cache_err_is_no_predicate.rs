#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", cache_err = true)]
async fn flag(id: u64) -> Result<u64, String> { Ok(id) }

#[cacheable(cache = "users", cache_err = matches!(error, "gone"))]
async fn expression(id: u64) -> Result<u64, &'static str> { Ok(id) }

#[cacheable(cache = "users", cache_err = |a, b| true)]
async fn two(id: u64) -> Result<u64, String> { Ok(id) }

fn main() {}
