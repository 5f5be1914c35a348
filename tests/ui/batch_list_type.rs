#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = ids)]
async fn iterator(ids: impl Iterator<Item = u64>) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids)]
async fn mutable(ids: &mut Vec<u64>) -> HashMap<u64, u64> { HashMap::new() }

fn main() {
    _ = iterator(std::iter::empty());
}
