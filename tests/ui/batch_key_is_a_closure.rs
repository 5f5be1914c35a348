#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = ids, key = tenant)]
async fn expression(tenant: u64, ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids, key = |a, b| a)]
async fn two(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
