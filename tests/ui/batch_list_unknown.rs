#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = idz)]
async fn unknown(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids.iter())]
async fn expression(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids)]
async fn pattern((ids, db): (&[u64], &str)) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
