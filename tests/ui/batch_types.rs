#![allow(unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

struct Ids;
struct Users;

cachesync::cache! { USERS: "users" => (u64, u64); }

#[cacheable(cache = "users", keys = ids)]
async fn list(ids: Ids) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids)]
async fn returns(ids: &[u64]) -> Users { Users }

#[cacheable(cache = "users", keys = ids)]
async fn key(ids: &[f64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = USERS, keys = ids)]
async fn typed(ids: &[u32]) -> HashMap<u32, u64> { HashMap::new() }

fn main() {}
