#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cache_put;

#[cache_put(cache = "users", keys = ids)]
async fn save(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
