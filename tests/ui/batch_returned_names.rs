#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = ids)]
async fn other(ids: &[u64]) -> HashMap<u32, String> { HashMap::new() }

#[cacheable(cache = "users", keys = ids, key = |id| (tenant, id))]
async fn whole_key(tenant: u32, ids: &[u64]) -> HashMap<(u32, u64), String> { HashMap::new() }

fn main() {}
