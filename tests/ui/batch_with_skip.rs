#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = ids, skip(tenant))]
async fn find(tenant: u64, ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
