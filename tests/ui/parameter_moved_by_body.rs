#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", key = id, tags = [format!("{team} {result}")])]
async fn tags(id: u64, team: String) -> Option<String> { Some(team) }

#[cache_evict(cache = "users", key = (name, *result))]
async fn key(name: String) -> Result<u64, String> {
    drop(name);
    Ok(1)
}

fn main() {}
