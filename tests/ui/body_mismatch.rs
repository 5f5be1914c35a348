#![allow(dead_code, unused_variables)]

use std::sync::Arc;

use cachesync::{cache_evict, cacheable};

struct User {
    id: u64,
}

#[cacheable(cache = "users")]
async fn tail(id: u64) -> Arc<User> { User { id } }

#[cache_evict(cache = "users")]
async fn evict(id: u64) -> Result<(), String> { id }

#[cacheable(cache = "users")]
fn plain(id: u64) -> Option<u64> { id }

fn main() {}
