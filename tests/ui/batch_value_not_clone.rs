#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

struct User;

#[cacheable(cache = "users", keys = ids)]
async fn find(ids: &[u64]) -> HashMap<u64, User> { HashMap::new() }

fn main() {}
