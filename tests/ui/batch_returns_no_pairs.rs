#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", keys = ids)]
async fn one(ids: &[u64]) -> Option<u64> { None }

#[cacheable(cache = "users", keys = ids)]
async fn list(ids: &[u64]) -> Result<Vec<String>, String> { Ok(Vec::new()) }

fn main() {}
