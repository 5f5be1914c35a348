#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = id)]
async fn one(id: u64) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
