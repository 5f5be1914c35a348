#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = ["a", "b"], keys = ids)]
async fn find(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
